"""
A structured stream that ends when it has read what is there, and goes on from its checkpoint the next time.

Arguments: folder of the source (JSON lines), folder of the sink, folder of the checkpoint, files of a
micro-batch.
"""

import sys

from pyspark.sql import SparkSession

source, sink, checkpoint, files = sys.argv[1:5]

spark = SparkSession.builder.appName("streaming").getOrCreate()
readings = (
    spark.readStream.schema("id BIGINT, celsius DOUBLE").option("maxFilesPerTrigger", files).json(source)
)
query = (
    readings.selectExpr("id", "celsius * 1.8 + 32 AS fahrenheit")
    .writeStream.format("json")
    .option("path", sink)
    # What was read and written so far: another driver goes on from there.
    .option("checkpointLocation", checkpoint)
    # One micro-batch after the other until nothing is left: then the application, and the task, are over.
    .trigger(availableNow=True)
    .start()
)
query.awaitTermination()
print("Everything that was there is converted", flush=True)
spark.stop()
