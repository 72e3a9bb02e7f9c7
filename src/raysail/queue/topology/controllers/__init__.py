"""The shells of topology-aware scheduling: what feeds the topologies, and the controllers that act on Pods and nodes."""
