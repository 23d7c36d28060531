"""Counts for a while, in small tasks, and says when it begins and what it has counted."""

import time

from pyspark.sql import SparkSession


def work(number):
    time.sleep(0.5)
    return number


spark = SparkSession.builder.getOrCreate()
print("begun under", spark.sparkContext.applicationId, flush=True)
print("counted", spark.sparkContext.parallelize(range(40), 40).map(work).count(), flush=True)
spark.stop()
