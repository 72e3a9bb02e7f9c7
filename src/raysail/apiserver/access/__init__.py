"""Who asks, and may they: certificates, tokens, RBAC, impersonation and the review APIs."""
