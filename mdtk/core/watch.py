"""A thread that watches the other processes of a run: one that hangs, failed, or lost its launcher ends the run."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta

import torch.distributed as dist

POLL = 0.5  # seconds
PATIENCE = 10.0  # seconds in which a process may end by itself after another one failed
FAILURES = "failures"


def open_store(seconds: float) -> dist.Store:
    """A connection of its own to the key-value store of this run, under a name of this attempt (--max-restarts).

    Rank 0 chooses the name: of several of torchrun's agents, each counts restarts on its own.
    """
    name = [uuid.uuid4().hex]
    dist.broadcast_object_list(name, src=0)
    store = dist.TCPStore(
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=timedelta(seconds=seconds)
    )
    return dist.PrefixStore(f"mdtk/{name[0]}", store)


class Watch(threading.Thread):
    """Tells the others every half second that this process lives and how far it is, and looks at how far they are.

    `beat` is called by the training; a process whose thread is silent, or whose `beat`s end, for `timeout` seconds
    is named, and the run ends. `timeout` 0: only the launcher's end and others' failures are looked at.
    """

    def __init__(self, rank: int, size: int, timeout: float) -> None:
        super().__init__(daemon=True)
        self.rank, self.size, self.timeout = rank, size, timeout
        self.store = open_store(max(timeout, 60.0))
        self.parent = os.getppid()
        self.count, self.what = 0, ""
        self.done = threading.Event()
        self.seen: dict[int, tuple[str, float]] = {}
        self.moved: dict[int, tuple[str, float]] = {}
        self._tell(0)

    def beat(self, what: str) -> None:
        """The training has come to `what`; an empty text: to something that may last, and is not timed."""
        self.count, self.what = self.count + 1, what

    def fail(self) -> bool:
        """Notes that this process failed; whether it is the first, whose message the user gets."""
        return int(self.store.add(FAILURES, 1)) == 1

    def others_failed(self, seconds: float) -> bool:
        """Whether another process said that it failed, or does within `seconds`."""
        end = time.monotonic() + seconds
        while not self.store.check([FAILURES]):
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def stop(self) -> None:
        """Ends the thread."""
        self.done.set()
        self.join(5)

    def run(self) -> None:
        """The thread."""
        tick, failed_at = 1, 0.0
        while not self.done.wait(POLL):
            if os.getppid() != self.parent:
                os._exit(1)  # the launcher was killed: nobody would end this process
            try:
                self._tell(tick)
                tick += 1
                if self.store.check([FAILURES]):
                    failed_at = failed_at or time.monotonic()
                    if time.monotonic() - failed_at > PATIENCE:
                        os._exit(1)
                elif self.timeout and (hanging := self._hanging()) is not None:
                    self._end(hanging)
            except RuntimeError:  # the store is gone: its process ended or hangs
                end = time.monotonic() + PATIENCE
                while not self.done.wait(POLL):
                    if os.getppid() != self.parent or time.monotonic() > end:
                        os._exit(1)

    def _tell(self, tick: int) -> None:
        place = f"{socket.gethostname()}|{os.getpid()}|{self.count}|{self.what}"
        self.store.set(f"beat/{self.rank}", f"{place}|{tick}")

    def _hanging(self) -> int | None:
        """The process that keeps the others waiting, if one has not moved for the timeout."""
        now = time.monotonic()
        places: dict[int, list[str]] = {}
        for rank in range(self.size):
            if not self.store.check([f"beat/{rank}"]):
                return None  # it has not started yet
            text = self.store.get(f"beat/{rank}").decode()
            places[rank] = text.split("|")
            for memory, value in ((self.seen, text), (self.moved, text.rpartition("|")[0])):
                if memory.get(rank, ("", 0.0))[0] != value:
                    memory[rank] = (value, now)
        silent = [rank for rank in places if now - self.seen[rank][1] > self.timeout]
        if silent:
            return silent[0]
        if all(places[rank][3] and now - self.moved[rank][1] > self.timeout for rank in places):
            # The others wait for the one that hangs: a stopped one says nothing, a blocked one is behind.
            quiet = max(places, key=lambda rank: now - self.seen[rank][1])
            if now - self.seen[quiet][1] > 5 * POLL:
                return quiet
            return min(places, key=lambda rank: int(places[rank][2]))
        return None

    def _end(self, rank: int) -> None:
        host, pid, _, what, _ = self.seen[rank][0].split("|")
        if self.fail():
            where = f", where it was {what}" if what else ""
            print(
                f"error: process {rank} (pid {pid} on {host}) has not moved for {self.timeout:g} s (TIMEOUT){where}; "
                "look at that machine, then run the same command again",
                file=sys.stderr,
                flush=True,
            )
        if host == socket.gethostname() and int(pid) != os.getpid():
            _quietly(lambda: os.kill(int(pid), signal.SIGKILL))  # a stopped process takes no other signal
        os._exit(1)


def _quietly(action: Callable[[], None]) -> None:
    try:
        action()
    except OSError:
        return
