"""What waits, in which order, what is parked, and what wakes it. Pure."""
