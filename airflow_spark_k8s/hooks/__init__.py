"""Connections of the type `spark_kubernetes`."""
