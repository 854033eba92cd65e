"""Where a training's numbers and pictures go beside metrics.jsonl: TensorBoard, tables, Weights & Biases, MLflow.

Each is a key of LOG, and each uses its own library. A resumed training goes on in the same run of a tracker, whose name
is kept in OUT_DIR.
"""

from __future__ import annotations

import csv
import io
import os
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from yacs.config import CfgNode

from mdtk.config.sections import LogSection
from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text
from mdtk.core.optional import optional_module
from mdtk.evaluation.io.results import cell
from mdtk.evaluation.io.run_log import read_records


class Tracker(Protocol):
    """A place that a training reports to."""

    def scalars(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a step (kind train) or of an epoch (kind epoch)."""

    def pictures(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Title → picture (H, W, 3) uint8 RGB."""

    def close(self) -> None:
        """Writes what is not written yet."""


class TensorBoard:
    """TensorBoard's files in OUT_DIR/tensorboard; what stands there after `step` is written again."""

    def __init__(self, out_dir: Path, step: int) -> None:
        self.writer = SummaryWriter(str(out_dir / "tensorboard"), purge_step=step + 1)

    def scalars(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{kind}/{name}", value, step)

    def pictures(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        for name, image in images.items():
            self.writer.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        self.writer.close()


class Tables:
    """At the training's end train.csv and epoch.csv beside metrics.jsonl: its records as tables, a column a name."""

    def __init__(self, out_dir: Path) -> None:
        self.path = out_dir / "metrics.jsonl"

    def scalars(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Nothing: metrics.jsonl has them."""

    def pictures(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """Nothing: a table has none."""

    def close(self) -> None:
        write_tables(self.path)


class WeightsAndBiases:
    """A run of Weights & Biases; its own variables (WANDB_PROJECT, WANDB_MODE offline, …) say where."""

    def __init__(self, out_dir: Path, settings: Mapping[str, Any], new: bool) -> None:
        self.wandb = optional_module("wandb", "LOG.WANDB", "mdtk-depth[wandb]")
        name = kept_name(out_dir / "wandb_run.txt", new)
        project = os.environ.get("WANDB_PROJECT", "mdtk")
        self.run = self.wandb.init(
            project=project, name=out_dir.name, id=name, resume="allow", dir=str(out_dir), config=dict(settings)
        )
        self.run.define_metric("*", step_metric="step")  # steps may be told again after a kill

    def scalars(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        self.run.log({"step": step, **{f"{kind}/{name}": value for name, value in values.items()}})

    def pictures(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        self.run.log({"step": step, **{name: self.wandb.Image(image) for name, image in images.items()}})

    def close(self) -> None:
        self.run.finish()


class MLflow:
    """A run of MLflow; its own variables (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME) say where."""

    def __init__(self, out_dir: Path, settings: Mapping[str, Any], new: bool) -> None:
        mlflow = optional_module("mlflow", "LOG.MLFLOW", "mdtk-depth[mlflow]")
        self.client = mlflow.MlflowClient()
        path = out_dir / "mlflow_run.txt"
        if path.is_file() and not new:
            self.name = path.read_text(encoding="utf-8").strip()
            return
        group = os.environ.get("MLFLOW_EXPERIMENT_NAME", "mdtk")
        found = self.client.get_experiment_by_name(group)
        place = found.experiment_id if found else self.client.create_experiment(group)
        self.name = self.client.create_run(place, run_name=out_dir.name).info.run_id
        for key, value in settings.items():
            self.client.log_param(self.name, key, str(value)[:500])
        write_text(path, self.name)

    def scalars(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.client.log_metric(self.name, re.sub(r"[^\w./ -]", "_", f"{kind}/{name}"), value, step=step)

    def pictures(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        for name, image in images.items():
            file = f"{re.sub(r'[^a-z0-9]+', '_', name.lower())}_{step:08d}.png"
            self.client.log_image(self.name, Image.fromarray(image), f"pictures/{file}")

    def close(self) -> None:
        self.client.set_terminated(self.name)


def write_tables(path: Path) -> None:
    """Writes train.csv and epoch.csv beside metrics.jsonl: its records of each kind as a table, a column a name."""
    records = read_records(path)
    for kind in dict.fromkeys(record["kind"] for record in records):
        rows = [record for record in records if record["kind"] == kind]
        text = io.StringIO()
        names = list(dict.fromkeys(name for row in rows for name in row if name != "kind"))
        table = csv.writer(text)
        table.writerow(map(cell, names))
        table.writerows([_safe(row.get(name, "")) for name in names] for row in rows)
        write_text(path.with_name(f"{kind}.csv"), text.getvalue())


def _safe(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else cell(str(value))


def kept_name(path: Path, new: bool) -> str:
    """The name of a tracker's run that the file holds; for a new training, or without the file, a new one."""
    if new or not path.is_file():
        write_text(path, uuid.uuid4().hex[:16])
    return path.read_text(encoding="utf-8").strip()


def build_trackers(cfg: CfgNode, out_dir: Path, step: int) -> list[Tracker]:
    """The trackers that LOG names, for a training that starts or goes on at `step`."""
    log, settings = LogSection.of(cfg), flat(cfg)
    trackers: list[Tracker] = [TensorBoard(out_dir, step)] if log.tensorboard else []
    trackers += [Tables(out_dir)] if log.csv else []
    for key, wanted, kind in (("LOG.WANDB", log.wandb, WeightsAndBiases), ("LOG.MLFLOW", log.mlflow, MLflow)):
        if wanted:
            trackers.append(_opened(key, kind, out_dir, settings, step == 0))
    return trackers


def _opened(key: str, kind: Callable[..., Tracker], *arguments: object) -> Tracker:
    """A tracker of another library, whose failure to start is one sentence that names the key."""
    try:
        return kind(*arguments)
    except MdtkError:
        raise
    except Exception as error:
        raise MdtkError(f"{key}: {error}; correct its settings, or set {key} false") from error


def flat(cfg: CfgNode, prefix: str = "") -> dict[str, Any]:
    """Every key of a configuration by its full name."""
    found: dict[str, Any] = {}
    for key, value in cfg.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, CfgNode) else {f"{prefix}{key}": value}
    return found
