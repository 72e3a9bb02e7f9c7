"""MultiKueue: Workloads that run on another cluster. The manager keeps the quota and the job, a worker runs a copy of it."""
