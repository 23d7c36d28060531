"""The async shell of one application: observe, reconcile, apply."""
