"""Topology-aware scheduling: where in racks, blocks and hosts the Pods of a workload go.

`tree` (the domains of a flavor's nodes) → `flavor` (what is free there) → `find` (places for a workload's pod sets) → `place` (one pod set).
"""
