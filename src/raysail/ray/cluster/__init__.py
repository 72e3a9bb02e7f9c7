"""RayCluster: what belongs to one, the planner of its Pods, its status, and the controller that does what they say."""
