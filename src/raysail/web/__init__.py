"""Gateway and dashboard."""
