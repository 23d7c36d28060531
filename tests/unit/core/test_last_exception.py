"""The last lines of drivers of Spark 4.3.0, as they were written."""

from __future__ import annotations

import pytest

from airflow_spark_k8s.core.last_exception import MAX_LENGTH, last_exception

STOP = """\
26/11/30 09:43:00 INFO SparkContext: Invoking stop() from shutdown hook
26/11/30 09:43:01 INFO SparkContext: Successfully stopped SparkContext (Uptime: 7602 ms)
"""

LOGS: dict[str, tuple[str, str | None]] = {
    "an exception of a Python application": (
        """\
26/11/30 09:42:56 INFO BlockManager: Initialized BlockManager: BlockManagerId(driver, 192.0.2.2, 41189, None)
Traceback (most recent call last):
  File "/app/load.py", line 5, in <module>
    load()
  File "/app/load.py", line 4, in load
    raise ValueError("no rows for 2026-11-30")
ValueError: no rows for 2026-11-30
"""
        + STOP,
        "ValueError: no rows for 2026-11-30",
    ),
    "an exception that follows from another one": (
        """\
Traceback (most recent call last):
  File "/app/load.py", line 5, in <module>
    1/0
    ~^~
ZeroDivisionError: division by zero

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/load.py", line 7, in <module>
    raise RuntimeError("cannot load") from e
RuntimeError: cannot load
"""
        + STOP,
        "RuntimeError: cannot load",
    ),
    "an exception of several lines": (
        """\
Traceback (most recent call last):
  File "/app/load.py", line 3, in <module>
    s.range(3).select("nope").show()
    ^^^^^^^^^^^^^^^^^^^^^^^^^
pyspark.errors.exceptions.captured.AnalysisException: [UNRESOLVED_COLUMN.WITH_SUGGESTION] A column \
with name `nope` cannot be resolved. SQLSTATE: 42703;
'Project ['nope]
+- Range (0, 3, step=1, splits=Some(1))

"""
        + STOP,
        "pyspark.errors.exceptions.captured.AnalysisException: [UNRESOLVED_COLUMN.WITH_SUGGESTION] A column "
        "with name `nope` cannot be resolved. SQLSTATE: 42703;",
    ),
    "an exception in a Python worker": (
        """\
26/11/30 09:43:24 ERROR Executor: Exception in task 0.0 in stage 0.0 (TID 0)
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/opt/spark/python/lib/pyspark.zip/pyspark/worker.py", line 4327, in invoke_udf
    run_process()
  File "/app/load.py", line 3, in <lambda>
    print(s.sparkContext.parallelize([1,2,0]).map(lambda x: 1/x).collect())
                                                            ~^~
ZeroDivisionError: division by zero

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:647)
Traceback (most recent call last):
  File "/app/load.py", line 3, in <module>
  File "/opt/spark/python/lib/pyspark.zip/pyspark/core/rdd.py", line 1699, in collect
ZeroDivisionError: division by zero
"""
        + STOP,
        "ZeroDivisionError: division by zero",
    ),
    "an exception of a JVM application": (
        """\
Exception in thread "main" java.lang.IllegalStateException: cannot read the settings
\tat J.main(J.java:2)
\tat org.apache.spark.deploy.SparkSubmit.main(SparkSubmit.scala)
Caused by: java.lang.NumberFormatException: For input string: "x1"
\tat java.base/java.lang.Integer.parseInt(Integer.java:652)
\t... 13 more
"""
        + STOP,
        "java.lang.IllegalStateException: cannot read the settings; caused by "
        'java.lang.NumberFormatException: For input string: "x1"',
    ),
    "a job that fails": (
        """\
26/11/30 09:45:18 ERROR Executor: Exception in task 0.0 in stage 0.0 (TID 0)
org.apache.spark.SparkRuntimeException: [USER_RAISED_EXCEPTION] first SQLSTATE: P0001
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.raiseError(QueryExecutionErrors.scala:2733)
26/11/30 09:45:18 ERROR TaskSetManager: Task 0 in stage 0.0 failed 1 times; aborting job
Exception in thread "main" org.apache.spark.SparkRuntimeException: [USER_RAISED_EXCEPTION] boom
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.raiseError(QueryExecutionErrors.scala:2733)
26/11/30 09:45:19 ERROR Utils: Uncaught exception in thread shutdown-hook-0
java.lang.IllegalStateException: Shutdown in progress
\tat org.apache.spark.util.Utils$.tryLogNonFatalError(Utils.scala:1)
""",
        "org.apache.spark.SparkRuntimeException: [USER_RAISED_EXCEPTION] boom",
    ),
    "a heap that is used up": (
        'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space\n\tat K.main(K)\n' + STOP,
        "java.lang.OutOfMemoryError: Java heap space",
    ),
    "an exception that was only logged": (
        "26/11/30 ERROR Streaming: failed\njava.io.IOException: disk full\n\tat X.y(X)\n" + STOP,
        "java.io.IOException: disk full",
    ),
    "a class that is not there": (
        "26/11/30 09:43:42 WARN Utils: Set SPARK_LOCAL_IP\nError: Failed to load class org.example.Nope.\n",
        "Failed to load class org.example.Nope.",
    ),
    "an exit code and no more": (
        'Exception in thread "main" org.apache.spark.SparkUserAppException: User application exited with 3\n',
        None,
    ),
    "a traceback without an end": (
        'Traceback (most recent call last):\n  File "/app/load.py", line 5, in <module>\n',
        None,
    ),
    "a driver that says nothing of it": (STOP, None),
    "no log": ("", None),
}  # fmt: skip


@pytest.mark.parametrize(("log", "expected"), LOGS.values(), ids=LOGS.keys())
def test_the_last_exception(log: str, expected: str | None) -> None:
    assert last_exception(log.splitlines()) == expected


def test_an_exception_is_cut_to_one_short_line() -> None:
    line = 'Exception in thread "main" java.lang.RuntimeException: ' + "x" * 100_000
    told = last_exception([line, "Caused by: java.lang.Error: " + "y" * 100_000])
    assert told is not None
    assert len(told) <= 2 * MAX_LENGTH + 20
