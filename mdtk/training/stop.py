"""Ending on request: SIGTERM and SIGINT let the step be finished, on which all processes agree."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import torch
import torch.distributed as dist

from mdtk.core.distributed import launched

STOPPED = 75  # the exit status (EX_TEMPFAIL of sysexits.h): everything is saved, run the same command again


class Stop:
    """Whether to stop. `poll` is called once a step by every process, and answers the same in all of them.

    The answer is one step old: the vote on it runs, on the CPUs, while the step is computed.
    """

    def __init__(self) -> None:
        self.asked = False
        made = dist.new_group(backend="gloo") if dist.is_initialized() else None
        self.group = made if isinstance(made, dist.ProcessGroup) else None
        self.vote = torch.zeros(1)
        self.work: dist.Work | None = None

    def poll(self) -> bool:
        """Whether all processes stop now."""
        if self.group is None:
            return self.asked
        stop = False
        if self.work is not None:
            self.work.wait()
            stop = bool(self.vote.item() > 0)
        self.vote = torch.tensor([float(self.asked)])
        self.work = dist.all_reduce(self.vote, group=self.group, async_op=True)
        return stop

    def finish(self) -> None:
        """Waits for the last vote, so that no process leaves while another still counts."""
        if self.work is not None:
            self.work.wait()


@contextlib.contextmanager
def listening(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop.asked` while the block runs; a second SIGINT interrupts at once.

    Not below a launcher: torchrun sends the terminal's SIGINT to its processes a second time.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.asked and not launched():
            raise KeyboardInterrupt
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
