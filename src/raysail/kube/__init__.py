"""Speaking a Kubernetes API: client, kubeconfig, informers, work queues, controllers, manager, events, leader election, clock."""
