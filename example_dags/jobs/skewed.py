"""
A skewed stage: its first task needs much more memory than the others, outside the JVM's heap.

Arguments: number of tasks, MiB of a task, MiB of the first task, seconds that a task takes. The first task
takes twice as long.
"""

import sys
import time

from pyspark.sql import SparkSession

STEPS = 10

tasks, mib, skewed_mib, seconds = (int(word) for word in sys.argv[1:5])


def hold(number: int) -> int:
    """MiB that a Python worker held; the first task's grow as the rows of a large key do."""
    at_once, by_and_by = (0, skewed_mib) if number == 0 else (mib, 0)
    held = [bytearray(at_once * 1024**2)]
    for _ in range(STEPS):
        held.append(bytearray(by_and_by * 1024**2 // STEPS))
        time.sleep(seconds / STEPS)
    time.sleep(seconds if number == 0 else 0)
    return sum(map(len, held)) // 1024**2


spark = SparkSession.builder.appName("skewed").getOrCreate()
most = spark.sparkContext.parallelize(range(tasks), tasks).map(hold).max()
print(f"The largest of {tasks} tasks held {most} MiB")
spark.stop()
