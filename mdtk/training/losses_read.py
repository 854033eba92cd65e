"""The reading of a training's losses now and then, and what is told of steps and samples that did not count."""

from __future__ import annotations

import math
import resource
import sys
from typing import Any

import torch

from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.data.batch import Batch
from mdtk.training.checkpoint import set_aside_unproven
from mdtk.training.state import Run, TrainState
from mdtk.training.step import Meter, Reading

NOT_FINITE, UNREADABLE = "not_finite.jsonl", "unreadable.jsonl"


def read_losses(run: Run, state: TrainState, meter: Meter) -> float | None:
    """Logs the losses since the last reading; the mean total, None when no step counted.

    Raises `MdtkError` when SOLVER.MAX_NOT_FINITE steps in a row changed nothing.
    """
    reading = meter.read()
    for place, bad in enumerate(reading.row):
        state.refused += bad
        state.refused_in_row = state.refused_in_row + 1 if bad else 0
        if not bad:
            state.accepted = reading.first + place + 1
    values = {**reading.means, "lr": state.optimizer.param_groups[0]["lr"]}
    if reading.refused:
        report_refused(run, reading)
        values["refused"] = len(reading.refused)
    run.logger.record("train", state.step, values)
    if "total" in values and (state.step % run.log.period == 0 or run.at_epochs_end(state.step)):
        memory = peak_memory(run.device)
        run.logger.progress(state.step, run.total_steps, run.solver.batch_size, values, memory)
    if state.refused_in_row >= run.solver.max_not_finite:
        left = set_aside_unproven(run.out_dir, state) if distributed.is_main() else ""
        raise MdtkError(
            f"{state.refused_in_row} steps in a row had no finite loss and gradient; they changed nothing and are "
            f"named in {run.out_dir / NOT_FINITE}; {left}; lower SOLVER.LR, with CHECKPOINT.RESUME_WITH_CHANGES true, "
            "or set SOLVER.CLIP_GRAD, or look at these samples"
        )
    return reading.means.get("total")


def peak_memory(device: torch.device) -> int:
    """The most memory, in bytes, that this process has held so far: on its GPU, else in all."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def report_refused(run: Run, reading: Reading) -> None:
    """Names the samples of refused steps, of all processes, on the console and in a file."""
    lines: list[dict[str, Any]] = distributed.gather_objects(
        [
            {"step": step + 1, "process": distributed.rank(), "samples": list(names), "losses": describe_losses(losses)}
            for step, names, losses in reading.refused
        ]
    )
    for line in lines:
        run.logger.append(NOT_FINITE, line)
    steps = sorted({line["step"] for line in lines})
    own = [name for line in lines if line["losses"]["total"] != "finite" for name in line["samples"]]
    run.logger.say(
        f"step {', '.join(map(str, steps[:5]))}{' …' if len(steps) > 5 else ''}: loss or gradient not finite, "
        f"nothing was changed; samples {', '.join((own or lines[0]['samples'])[:8])} (all in {NOT_FINITE})"
    )


def describe_losses(losses: dict[str, float]) -> dict[str, str]:
    """Each loss as text, since JSON has no numbers that are not finite."""
    return {name: "finite" if math.isfinite(value) else str(value) for name, value in losses.items()}


class Problems:
    """The samples that could not be read and were replaced: counted, named, and an error above DATA.MAX_UNREADABLE."""

    def __init__(self, run: Run) -> None:
        self.run, self.fresh = run, list[str]()
        self.limit = run.data.max_unreadable

    def add(self, batch: Batch) -> None:
        """Counts those of a batch."""
        self.fresh += batch.problems
        self.run.unreadable.extend(batch.problems)
        if len(self.run.unreadable) > self.limit > 0:
            raise MdtkError(
                f"{len(self.run.unreadable)} samples could not be read, more than DATA.MAX_UNREADABLE {self.limit}; "
                f"the last: {self.run.unreadable[-1]}"
            )

    def tell(self) -> None:
        """Names the new ones of all processes."""
        if self.limit:
            for problem in distributed.gather_objects(self.fresh):
                self.run.logger.say(f"replaced by the next sample: {problem}")
                self.run.logger.append(UNREADABLE, {"sample": problem})
            self.fresh = []
