"""What Kubernetes accepts as a Pod, and what may be changed in one (pkg/apis/core/validation/validation.go)."""
