"""The planner's world: workloads, what they ask for, queues, quotas, shares. Pure data and arithmetic, no decisions."""
