"""Whole lives of applications, with faults of every kind, on virtual time and from one seed."""
