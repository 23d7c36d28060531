"""Kills the executor that gets the first task, goes on with another, and ends when that is replaced."""

import os
import signal
import time
from pathlib import Path

from pyspark import TaskContext
from pyspark.sql import SparkSession

EXECUTORS = 2


def work(number):
    context = TaskContext.get()
    if context.partitionId() == 0 and context.attemptNumber() == 0:
        # A worker's parent is PySpark's daemon, and that one's the executor.
        daemon = Path(f"/proc/{os.getppid()}/stat").read_text()
        os.kill(int(daemon.rpartition(")")[2].split()[1]), signal.SIGKILL)
        time.sleep(60)
    return number


spark = SparkSession.builder.getOrCreate()
print("counted", spark.sparkContext.parallelize(range(1000), 4).map(work).count(), flush=True)
tracker = spark.sparkContext._jsc.sc().statusTracker()
while len(tracker.getExecutorInfos()) - 1 < EXECUTORS:
    time.sleep(0.1)
spark.stop()
