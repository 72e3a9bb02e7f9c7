"""KubeRay's job: Ray clusters and jobs from their objects. Pure builders and state machines, thin controllers."""
