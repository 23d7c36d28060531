"""Waits until both executors work, gives each something to do, and ends."""

import time

from pyspark.sql import SparkSession

EXECUTORS = 2

spark = SparkSession.builder.getOrCreate()
tracker = spark.sparkContext._jsc.sc().statusTracker()
while len(tracker.getExecutorInfos()) - 1 < EXECUTORS:
    time.sleep(0.1)
print("counted", spark.sparkContext.parallelize(range(1000), 2 * EXECUTORS).count())
spark.stop()
