"""Each task takes memory outside the heap for a while; the arguments: number of tasks, MiB, seconds."""

import sys
import time

from pyspark.sql import SparkSession

tasks, mib, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])


def peak(number: int) -> int:
    """Bytes that were held by a Python worker, as a model or a wide row would be."""
    held = bytearray(mib * 1024**2)
    time.sleep(seconds)
    return len(held)


spark = SparkSession.builder.appName("peaks").getOrCreate()
total = spark.sparkContext.parallelize(range(tasks), tasks).map(peak).sum()
print(f"held {total // 1024**2} MiB, one task after the other")
spark.stop()
