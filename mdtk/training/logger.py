"""What a training says: console, progress bar, metrics.jsonl, TensorBoard. Only rank 0 says anything."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from mdtk.core.files import clear_torn, write_text


class Logger:
    """`active` False: every method does nothing (other ranks). Records after `step`, and what a kill left, are removed:
    a resumed run writes them again."""

    def __init__(self, out_dir: Path, active: bool, tensorboard: bool, step: int) -> None:
        self.active, self.path = active, out_dir / "metrics.jsonl"
        self.bar: tqdm | None = None
        self.writer = None
        if not active:
            return
        out_dir.mkdir(parents=True, exist_ok=True)
        clear_torn(out_dir)
        self._rewind(step)
        if tensorboard:
            self.writer = SummaryWriter(str(out_dir / "tensorboard"), purge_step=step + 1)

    def say(self, text: str) -> None:
        """A line on the console, above the progress bar."""
        if self.active:
            tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def _rewind(self, step: int) -> None:
        if self.path.is_file():
            records = [line for line in self.path.read_text().splitlines() if line.strip()]
            kept = [line for line in records if _step_of(line) <= step]
            if len(kept) < len(records):
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
        """A progress bar in samples (rate: samples/s, with ETA) over `total` steps, `done` of them done before."""
        if self.active:
            # A terminal is redrawn as it goes; a log file gets a line now and then.
            pause = 0.2 if sys.stderr.isatty() else 15.0
            self.bar = tqdm(
                total=total * batch_size, initial=done * batch_size, desc=label, unit="sample", mininterval=pause,
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
        if self.writer is not None:
            self.writer.close()


def _step_of(line: str) -> int:
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return sys.maxsize  # a line cut off by a kill
