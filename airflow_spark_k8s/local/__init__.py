"""A Kubernetes API server stand-in on this machine, for tests and demos."""
