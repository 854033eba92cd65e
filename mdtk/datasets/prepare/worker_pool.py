"""Jobs over processes that Ctrl-C ends in order: each finishes the file in hand, none is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import Any

from mdtk.core.errors import MdtkError

_stop: Event | None = None  # of this worker process


def run_jobs(function: Callable[..., Any], jobs: Sequence, options: object, workers: int) -> Iterator[Any]:
    """Yields function(job, options, stop) of every job as it is done, in processes; in this one when `workers` is 1.

    On Ctrl-C (or SIGTERM) `stop` is set, what runs ends by itself, and KeyboardInterrupt is raised.
    """
    if workers <= 1:
        for job in jobs:
            yield function(job, options, None)
        return
    context = multiprocessing.get_context()
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(stop, os.getpid()))
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        futures = [pool.submit(_call, function, job, options) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise MdtkError("a worker process died (out of memory?); run the same command again, it goes on") from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        signal.signal(signal.SIGTERM, before)


def _start_worker(stop: Event, parent: int) -> None:
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's decision
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, args=(parent,), daemon=True).start()


def _leave_with_parent(parent: int) -> None:
    """A killed parent cannot say so; its workers must not stay."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _call(function: Callable[..., Any], job: object, options: object) -> Any:
    return function(job, options, _stop)
