"""Concurrent admission (Kueue: alpha, gate ConcurrentAdmission): a Workload is tried on all flavors at once, by a variant for each.

`family`: what becomes of the variants. `controller`: the shell. What scheduling has to know of variants is in `raysail.queue.model.variants`.
"""
