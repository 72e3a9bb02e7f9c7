"""Kueue's metrics under Kueue's names: dashboards and alerts made for it go on working.

What is the case now is read from the planner's world at each scrape (`gauges`). What happened is counted when a Workload's transition is seen
(`transitions`), whoever wrote it, and when a cycle ends. `recorder` holds the counters; `families` is the list.
"""
