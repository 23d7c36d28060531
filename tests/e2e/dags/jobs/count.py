"""Counts to N in N tasks, once there are enough executors, and ends with the exit code it was told."""

import argparse
import sys
import time

from pyspark.sql import SparkSession

parser = argparse.ArgumentParser()
parser.add_argument("tasks", type=int)
parser.add_argument("--seconds", type=float, default=0.0, help="duration of each task")
parser.add_argument("--executors", type=int, default=1, help="executors to wait for")
parser.add_argument("--exit-code", type=int, default=0)
arguments = parser.parse_args()


def slow(number: int) -> int:
    time.sleep(arguments.seconds)
    return number


spark = SparkSession.builder.appName("count").getOrCreate()
tracker = spark.sparkContext._jsc.sc().statusTracker()
while len(tracker.getExecutorInfos()) <= arguments.executors:  # the driver counts as one
    time.sleep(0.2)
total = spark.sparkContext.parallelize(range(arguments.tasks), arguments.tasks).map(slow).sum()
print(f"counted to {total}")
spark.stop()
sys.exit(arguments.exit_code)
