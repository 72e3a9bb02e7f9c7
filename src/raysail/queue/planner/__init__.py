"""Decisions: flavors, turns, preemption, admission. Pure functions of the world, the pending queues and a time."""
