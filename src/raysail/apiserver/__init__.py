"""The Kubernetes API on one machine: store, REST, watch, schemas, admission, access. It runs no controller and knows no Ray."""
