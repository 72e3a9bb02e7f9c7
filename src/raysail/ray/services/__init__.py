"""From a RayCluster to the objects around its Pods: Services and the dashboard's Ingress. Pure (KubeRay controllers/ray/common/service.go)."""
