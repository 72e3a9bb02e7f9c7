"""RayJob: its state machine, who submits its program and how, what is deleted afterwards, and the controller that does what they say."""
