"""From a RayCluster to its Pods: pure builders, as KubeRay's controllers/ray/common/pod.go builds them. Pods are plain JSON objects here."""
