"""
A skewed stage: its first task needs much more memory than the others, in the JVM's heap.

Arguments: number of tasks, MiB of a task, MiB of the first task, seconds that a task takes. The first task
takes twice as long.
"""

import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import expr

ROW_KIB = 200

tasks, mib, skewed_mib, seconds = (int(word) for word in sys.argv[1:5])


def sleep(milliseconds: int) -> str:
    return f"java_method('java.lang.Thread', 'sleep', {milliseconds}L)"


def array_of(number: int, growing_milliseconds: int) -> str:
    """SQL of an array of so many rows; it grows in the heap, as one does that collects the rows of a key."""
    pause = f"if(row = {number}, {sleep(seconds * 1000)}, {sleep(growing_milliseconds // number)})"
    row = f"concat(repeat(char(65 + row % 26), {ROW_KIB * 1024}), {pause})"
    return f"transform(sequence(1, {number}), row -> {row})"


others = array_of(mib * 1024 // ROW_KIB, 0)
first = array_of(skewed_mib * 1024 // ROW_KIB, seconds * 1000)

spark = SparkSession.builder.appName("skewed_heap").getOrCreate()
held = expr(f"size(shuffle(if(id = 0, {first}, {others})))").alias("rows")
most = spark.range(0, tasks, 1, tasks).select(held).agg({"rows": "max"}).collect()[0][0]
print(f"The largest of {tasks} tasks held {most * ROW_KIB // 1024} MiB")
spark.stop()
