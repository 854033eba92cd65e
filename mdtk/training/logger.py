"""What a training says: console, train.log, metrics.jsonl, and its trackers. Only rank 0 says anything.

A terminal gets a progress bar. Where there is none, and in train.log, a line every LOG.PERIOD steps takes its place.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mdtk.core.errors import one_line
from mdtk.core.files import clear_torn, write_text
from mdtk.evaluation.io.run_log import parse, read_lines
from mdtk.training.trackers import Tracker


class Logger:
    """`active` False: every method does nothing (other ranks). Records after `step`, and what a kill left, are removed:
    a resumed run writes them again."""

    def __init__(self, out_dir: Path, active: bool, step: int, trackers: Sequence[Tracker] = ()) -> None:
        self.active, self.path, self.trackers = active, out_dir / "metrics.jsonl", list(trackers)
        self.bar: tqdm | None = None
        self.label = ""
        self.clock = (time.monotonic(), step)  # of the last progress line
        if active:
            out_dir.mkdir(parents=True, exist_ok=True)
            clear_torn(out_dir)
            self._rewind(step)

    def say(self, text: str) -> None:
        """A line on the console, above the progress bar, and in train.log."""
        if self.active:
            tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()
            self._write(text)

    def _write(self, text: str) -> None:
        with self.path.with_name("train.log").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")

    def progress(self, step: int, total: int, batch_size: int, values: dict, memory: int) -> None:
        """The line of a step: loss, learning rate, samples per second, time left, peak memory (bytes).

        `step` of `total` steps of the training; the speed is that since the last such line.
        """
        if not self.active:
            return
        now, (then, before) = time.monotonic(), self.clock
        self.clock = (now, step)
        per_step = (now - then) / max(step - before, 1)
        text = (
            f"{self.label}, step {step}/{total}, loss {values['total']:.4f}, lr {values['lr']:.3g}, "
            f"{batch_size / max(per_step, 1e-9):.1f} samples/s, {duration(per_step * (total - step))} left, "
            f"memory {memory / 2**30:.1f} GiB"
        )
        self._write(text)
        if self.bar is None:
            print(text, flush=True)

    def _rewind(self, step: int) -> None:
        if self.path.is_file():
            lines = read_lines(self.path)
            kept = [line for line in lines if (record := parse(line)) is not None and record["step"] <= step]
            if len(kept) < len(lines):
                write_text(self.path, "".join(f"{line}\n" for line in kept))

    def record(self, kind: str, step: int, values: dict) -> None:
        """One JSON line, and the numbers to the trackers under `kind/name`."""
        if not self.active:
            return
        self.append(self.path.name, {"kind": kind, "step": step, "time": round(time.time(), 3), **values})
        numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
        self._report(lambda tracker: tracker.scalars(kind, step, numbers))

    def _report(self, act: Callable[[Tracker], None]) -> None:
        """Lets every tracker act; one that fails (a server that is gone) is given up, and the training goes on."""
        for tracker in list(self.trackers):
            try:
                act(tracker)
            except Exception as error:  # of any library
                self.trackers.remove(tracker)
                self.say(f"{type(tracker).__name__} gets nothing more from here on: {one_line(str(error), 200)}")

    def append(self, name: str, line: dict) -> None:
        """One JSON line to the file `name` in OUT_DIR, which is made again when somebody deleted it."""
        if self.active:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with (self.path.parent / name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def pictures(self, step: int, images: dict[str, np.ndarray]) -> None:
        """RGB uint8 (H, W, 3) pictures to the trackers."""
        self._report(lambda tracker: tracker.pictures(step, images))

    def start_epoch(self, label: str, total: int, done: int, batch_size: int) -> None:
        """On a terminal a progress bar in samples (with rate and ETA) over `total` steps, `done` of them done."""
        self.label, self.clock = label, (time.monotonic(), self.clock[1])
        if self.active and sys.stderr.isatty():
            self.bar = tqdm(
                total=total * batch_size, initial=done * batch_size, desc=label, unit="sample", mininterval=0.2,
                dynamic_ncols=True, leave=False,
            )  # fmt: skip

    def advance(self, samples: int, loss: float | None = None) -> None:
        """Moves the bar on, and shows the loss where one was read."""
        if self.bar is not None:
            if loss is not None:
                self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            self.bar.update(samples)

    def end_epoch(self) -> None:
        """Takes the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def close(self) -> None:
        """Takes the bar away, and closes the trackers."""
        self.end_epoch()
        self._report(lambda tracker: tracker.close())


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: 3725 → "1:02:05"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
