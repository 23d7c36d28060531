"""Pod and Job templates: pure functions from an application to manifests."""
