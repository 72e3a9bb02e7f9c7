"""NetworkPolicies around a RayCluster (gate RayClusterNetworkPolicy; KubeRay networkpolicy_controller.go)."""
