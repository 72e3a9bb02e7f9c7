"""Kueue's job: which workload may start, where and when. A pure core and thin controllers."""
