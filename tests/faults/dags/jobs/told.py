"""A driver that runs until it is told how to end, and keeps a record of itself; with or without Spark."""

import argparse
import fcntl
import os
import signal
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path, help="where the record is kept and the order expected")
parser.add_argument("--executors", type=int, default=0, help="executors to wait for; 0: no Spark")
arguments = parser.parse_args()

arguments.folder.mkdir(parents=True, exist_ok=True)
# The kernel releases it however this process ends, so it is held by exactly the driver that runs.
lock = (arguments.folder / "lock").open("w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    (arguments.folder / "two-at-once").touch()


def note(what: str) -> None:
    with (arguments.folder / "record").open("a") as record:
        record.write(f"{os.environ['POD_NAME']} {what}\n")


def stop(*_: object) -> None:
    note("stopped")
    sys.exit(143)


note("started")
signal.signal(signal.SIGTERM, stop)
if arguments.executors:
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("told").getOrCreate()
    tracker = spark.sparkContext._jsc.sc().statusTracker()
    while len(tracker.getExecutorInfos()) <= arguments.executors:  # the driver counts as one
        time.sleep(0.2)
    note("has its executors")
order = arguments.folder / "exit-code"
while not order.exists():
    time.sleep(0.1)
code = int(order.read_text())
if arguments.executors:
    total = spark.sparkContext.parallelize(range(8), 8).sum()
    note(f"counted to {total}")
    spark.stop()
note(f"ended with {code}")
sys.exit(code)
