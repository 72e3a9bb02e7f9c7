"""RayCronJob: RayJobs on a schedule (gate RayCronJob; KubeRay raycronjob_controller.go)."""
