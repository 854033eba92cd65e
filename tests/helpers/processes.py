"""Trainings in several processes of this machine, started in a fraction of the time that `run_tool` takes."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mdtk.core.distributed import worker_environment
from tests.helpers.training import train_here

# A server that has imported all once and forks the processes: this one cannot fork, since torch has threads in it.
START = multiprocessing.get_context("forkserver")
START.set_forkserver_preload(["tests.helpers.processes"])


def train_in(
    processes: int, out_dir: Path, recipe: Path, pairs: Sequence[object], before: Callable[[], object] = list
) -> Path:
    """`train_here` in so many processes, each after `before()`; fails with what the first failing one says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    errors = START.SimpleQueue()
    # The store is in process 0: a thread of it here would be in the way of loaders that fork later.
    places = [
        {**worker_environment(rank, processes, port), "TORCHELASTIC_USE_AGENT_STORE": "False"}
        for rank in range(processes)
    ]
    workers = [
        START.Process(target=_train, args=(errors, place, before, out_dir, recipe, list(pairs))) for place in places
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert errors.empty(), errors.get()
    assert [worker.exitcode for worker in workers] == [0] * processes
    return out_dir


def _train(errors, place: dict[str, str], before: Callable, out_dir: Path, recipe: Path, pairs: list) -> None:
    os.environ.update(place)
    torch.set_num_threads(1)
    try:
        before()
        train_here(out_dir, recipe, pairs)
    except Exception:
        errors.put(traceback.format_exc())
        raise
