"""What a DAG author writes."""
