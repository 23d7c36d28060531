"""Starts Spark and waits to be ended."""

import threading

from pyspark.sql import SparkSession

SparkSession.builder.getOrCreate()
threading.Event().wait()
