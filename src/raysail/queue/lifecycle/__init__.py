"""What becomes of a Workload and of a queue's status beside being scheduled. Pure."""
