"""The warm launcher: imports Ray once and forks a process for each `ray` command that a Pod runs.

Runs in the Python environment of the Pods, which need not be raysail's: only the standard library and Ray are imported.
"""
