"""Controllers of Kueue's own kinds: thin shells around the pure parts of `raysail.queue`."""
