"""Coroutines on a worker: run beside the main thread, which stays free for signals."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

T = TypeVar("T")

JOIN_SECONDS = 10.0
"""How long a cancelled coroutine may take to close its sockets before the worker goes on without it."""


class WorkerLoop:
    """
    Runs one coroutine at a time to its end, in a thread with an asyncio loop of its own.

    Airflow stops a task with SIGTERM (`on_kill`) and ends a late one with SIGALRM (an exception in the main
    thread). A loop in the main thread would hand that exception to whatever it happens to run, and lose it.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """
        What the coroutine returns; what it raises is raised here.

        :raises concurrent.futures.CancelledError: after `cancel`.
        """
        future: Future[T] = Future()
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(self._work, make, future), daemon=True)
        self._thread, self._stopped = thread, False
        try:
            # A signal may raise in here already, with the thread half started.
            thread.start()
            return future.result()
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Stop the coroutine, if one runs, and wait a while for its end; not for the loop's own thread."""
        self._stopped = True
        loop, task, thread = self._loop, self._task, self._thread
        if loop is not None and task is not None and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)
        if thread is not None and thread.is_alive():
            thread.join(JOIN_SECONDS)

    def _work(self, make: Callable[[], Coroutine[Any, Any, T]], future: Future[T]) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                result = runner.run(self._tracked(make))
        except (asyncio.CancelledError, KeyboardInterrupt):
            future.set_exception(CancelledError("the coroutine was stopped"))
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            self._loop = self._task = None

    async def _tracked(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._task = asyncio.current_task()
        if self._stopped:
            raise asyncio.CancelledError
        return await make()
