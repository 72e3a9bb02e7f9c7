"""RayService: Ray Serve's applications on a cluster that is replaced without downtime (KubeRay rayservice_controller.go)."""
