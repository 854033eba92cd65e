"""What a training says: console, train.log, metrics.jsonl, CSV, TensorBoard. Only rank 0 says anything.

A terminal gets a progress bar. Where there is none, and in train.log, a line every LOG.PERIOD steps takes its place.
"""

from __future__ import annotations

import csv as csv_module
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from mdtk.core.files import clear_torn, write_text
from mdtk.core.guard import reading

KINDS = ("train", "epoch")  # of records; each has a table of its own


class Logger:
    """`active` False: every method does nothing (other ranks). Records after `step`, and what a kill left, are removed:
    a resumed run writes them again."""

    def __init__(self, out_dir: Path, active: bool, tensorboard: bool, step: int, csv: bool = False) -> None:
        self.active, self.path, self.csv = active, out_dir / "metrics.jsonl", csv
        self.bar: tqdm | None = None
        self.label = ""
        self.clock = (time.monotonic(), step)  # of the last progress line
        self.writer = None
        if not active:
            return
        out_dir.mkdir(parents=True, exist_ok=True)
        clear_torn(out_dir)
        self._rewind(step)
        if tensorboard:
            self.writer = SummaryWriter(str(out_dir / "tensorboard"), purge_step=step + 1)

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
        """One JSON line, and the numbers to TensorBoard under `kind/name`."""
        if not self.active:
            return
        self.append(self.path.name, {"kind": kind, "step": step, "time": round(time.time(), 3), **values})
        if self.writer is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self.writer.add_scalar(f"{kind}/{name}", value, step)

    def append(self, name: str, line: dict) -> None:
        """One JSON line to the file `name` in OUT_DIR, which is made again when somebody deleted it."""
        if self.active:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with (self.path.parent / name).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def pictures(self, step: int, images: dict[str, np.ndarray]) -> None:
        """RGB uint8 (H, W, 3) pictures to TensorBoard."""
        if self.writer is not None:
            for name, image in images.items():
                self.writer.add_image(name, image, step, dataformats="HWC")

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
        """Takes the bar away and writes what TensorBoard has not yet."""
        self.end_epoch()
        if self.active and self.csv:
            write_tables(self.path)
        if self.writer is not None:
            self.writer.close()


def write_tables(path: Path) -> None:
    """Writes train.csv and epoch.csv beside metrics.jsonl: its records of each kind as a table, a column a name."""
    lines = read_lines(path) if path.is_file() else []
    records = [record for line in lines if (record := parse(line)) is not None]
    for kind in dict.fromkeys(record["kind"] for record in records):
        rows = [record for record in records if record["kind"] == kind]
        text = io.StringIO()
        table = csv_module.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row if name != "kind")))
        table.writeheader()
        table.writerows({name: value for name, value in row.items() if name != "kind"} for row in rows)
        write_text(path.with_name(f"{kind}.csv"), text.getvalue())


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: 3725 → "1:02:05"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def read_lines(path: Path) -> list[str]:
    """The lines of metrics.jsonl that are not empty."""
    with reading(path, "log of metrics", "move it away"):
        return [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]


def parse(line: str) -> dict[str, Any] | None:
    """The record of a line of metrics.jsonl; None for one that a kill cut off, or that is no record."""
    try:
        record = json.loads(line)
        whole = isinstance(record["step"], int) and isinstance(record["kind"], str)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if whole and record["kind"] in KINDS else None
