"""The platform around the queue: explain, history, metrics, alarms, estimates."""
