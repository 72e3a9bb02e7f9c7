"""One raysail instance on one machine: its state directory, addresses and processes."""
