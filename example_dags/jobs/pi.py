"""Estimates pi by throwing darts; the argument is the number of tasks."""

import random
import sys
from operator import add

from pyspark.sql import SparkSession

THROWS_PER_TASK = 20_000


def throw(seed: int) -> int:
    """Number of darts that hit the circle."""
    chance = random.Random(seed)
    return sum(chance.random() ** 2 + chance.random() ** 2 <= 1 for _ in range(THROWS_PER_TASK))


tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 20
spark = SparkSession.builder.appName("pi").getOrCreate()
hits = spark.sparkContext.parallelize(range(tasks), tasks).map(throw).reduce(add)
print(f"Pi is roughly {4 * hits / (tasks * THROWS_PER_TASK):.4f}")
spark.stop()
