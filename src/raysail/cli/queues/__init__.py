"""The commands of kueuectl: create, list, stop, resume and delete for queues, flavors and Workloads, with its flags and columns.

`list`, `stop` and `delete` have a meaning of their own here (my jobs, a job, any object); kueuectl's begins with the name of a kind.
"""
