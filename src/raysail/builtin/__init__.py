"""What kube-controller-manager and kube-scheduler do on a real cluster, as small controllers that speak only the API."""
