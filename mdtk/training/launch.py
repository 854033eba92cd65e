"""`tools/train.py --nproc N`: a training in N processes of this machine, whose failure is one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

import torch.distributed as dist

from mdtk.core.distributed import worker_environment
from mdtk.training.stop import STOPPED

GRACE = 20.0  # seconds that the others get to end when one has failed


def launch(command: Sequence[str], processes: int) -> int:
    """Runs `command` in so many processes, as torchrun does, and returns the exit status of the run.

    Signals are passed on to the processes, which finish their step and save; a second Ctrl-C ends them at once.
    One that fails ends the others. The store they meet at is in this process. Several machines need torchrun: see
    docs/cluster.md.
    """
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    places = [worker_environment(rank, processes, store.port) for rank in range(processes)]
    workers = [_start(command, place) for place in places]

    asked: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        at_once = asked.count(signal.SIGINT) > 1
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return _wait(workers)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(command: Sequence[str], variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **variables}
    environment.setdefault("OMP_NUM_THREADS", "1")
    # A session of its own: Ctrl-C of a terminal reaches the processes once, through the launcher.
    return subprocess.Popen(list(command), env=environment, start_new_session=True)


def _wait(workers: Sequence[subprocess.Popen[bytes]]) -> int:
    failed_at = 0.0
    while any(worker.poll() is None for worker in workers):
        if any(worker.returncode not in (None, 0, STOPPED) for worker in workers):
            failed_at = failed_at or time.monotonic()
            if time.monotonic() - failed_at > GRACE:
                for worker in workers:
                    worker.kill()
        time.sleep(0.1)
    codes = [worker.returncode for worker in workers]
    killed = [f"process {rank} was ended by signal {-code}" for rank, code in enumerate(codes) if code < 0]
    failures = [code for code in codes if code not in (0, STOPPED)]
    if failures and all(code < 0 for code in failures):  # nobody could say anything
        print(f"error: {', '.join(killed)}; run the same command again", file=sys.stderr)
    if failures:
        return 1
    return STOPPED if STOPPED in codes else 0
