"""raysail from scripts and notebooks."""
