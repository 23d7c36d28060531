"""Counts to N in N tasks that each take a while, and ends with the exit code it was told."""

import sys
import time

from pyspark.sql import SparkSession


def slow(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number


tasks, seconds = int(sys.argv[1]), float(sys.argv[2])
spark = SparkSession.builder.appName("count").getOrCreate()
total = spark.sparkContext.parallelize(range(tasks), tasks).map(lambda n: slow(n, seconds)).sum()
print(f"counted to {total}")
spark.stop()
sys.exit(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
