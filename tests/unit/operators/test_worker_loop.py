from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
from concurrent.futures import CancelledError
from types import FrameType

import pytest

from airflow_spark_k8s.operators.worker_loop import WorkerLoop


def test_the_result_comes_back() -> None:
    async def seven() -> int:
        await asyncio.sleep(0)
        return 7

    assert WorkerLoop().run(seven) == 7


def test_an_error_comes_back_as_it_is() -> None:
    async def fails() -> None:
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        WorkerLoop().run(fails)


def test_it_works_while_the_thread_runs_a_loop_already() -> None:
    async def one() -> int:
        return 1

    async def outer() -> int:
        return WorkerLoop().run(one)

    assert asyncio.run(outer()) == 1


def test_context_variables_are_seen_inside() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("outside")

    async def read() -> str:
        return variable.get()

    assert WorkerLoop().run(read) == "outside"


def test_another_thread_can_cancel_and_the_coroutine_cleans_up() -> None:
    loop = WorkerLoop()
    started, cleaned = threading.Event(), threading.Event()

    async def forever() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    def cancel() -> None:
        started.wait()
        loop.cancel()

    other = threading.Thread(target=cancel)
    other.start()
    with pytest.raises(CancelledError):
        loop.run(forever)
    other.join()
    assert cleaned.is_set()


class Late(BaseException):
    """Stands for Airflow's timeout, which is no Exception either."""


def test_an_exception_of_a_signal_handler_ends_the_coroutine_and_is_raised() -> None:
    cleaned = threading.Event()
    main = threading.main_thread().ident or 0

    def handle(number: int, frame: FrameType | None) -> None:
        raise Late

    async def forever() -> None:
        try:
            signal.pthread_kill(main, signal.SIGUSR1)
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with pytest.raises(Late):
            WorkerLoop().run(forever)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert cleaned.is_set()


def test_a_signal_while_the_thread_starts_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    start, ran = threading.Thread.start, threading.Event()

    def interrupted(thread: threading.Thread) -> None:
        monkeypatch.undo()
        start(thread)
        raise Late

    async def forever() -> None:
        ran.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    before = threading.active_count()
    with pytest.raises(Late):
        WorkerLoop().run(forever)
    assert threading.active_count() == before


def test_cancelling_nothing_does_nothing() -> None:
    WorkerLoop().cancel()
