"""Making room: which workloads have to go so that another one fits, and nothing more than that."""

from raysail.queue.planner.preemption.victims import Preemptor, Victim

__all__ = ["Preemptor", "Victim"]
