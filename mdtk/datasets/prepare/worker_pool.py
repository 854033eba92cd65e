"""Runs jobs in processes that Ctrl-C ends in order: each finishes its current file, and none is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import TypeVar

from mdtk.core.errors import MdtkError

Job = TypeVar("Job")
Options = TypeVar("Options")
Result = TypeVar("Result")
_stop: Event | None = None  # set when this worker process should end


def run_jobs(
    function: Callable[[Job, Options, Event | None], Result], jobs: Sequence[Job], options: Options, workers: int
) -> Generator[Result, None, None]:
    """Yields function(job, options, stop) of every job as it is done, from `workers` processes; 1 is this process.

    On Ctrl-C or SIGTERM `stop` is set, the running jobs end by themselves, and KeyboardInterrupt is raised. Raises
    `MdtkError` when a worker process dies.
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and sets the event
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, args=(parent,), daemon=True).start()


def _leave_with_parent(parent: int) -> None:
    """Ends this worker when its parent is gone: a parent that was killed cannot tell its workers."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _call(function: Callable[[Job, Options, Event | None], Result], job: Job, options: Options) -> Result:
    return function(job, options, _stop)
