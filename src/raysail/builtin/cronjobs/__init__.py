"""CronJobs: Jobs on a schedule."""

from raysail.builtin.cronjobs.controller import register

__all__ = ["register"]
