"""Why something waits: recomputed from listed objects with the planner's own functions. Pure."""
