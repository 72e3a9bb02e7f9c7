"""Speaking a Kubernetes API: client, informers, work queues, controllers, manager, events, clock."""
