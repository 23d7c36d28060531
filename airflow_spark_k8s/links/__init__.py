"""Links from a task instance to places outside Airflow."""
