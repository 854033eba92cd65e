"""Trainings in this process, and what they leave behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch import Tensor

from mdtk.config import load_config
from mdtk.training.logger import Logger
from mdtk.training.train import train

# One step that never moves a weight: what it leaves is what the training started from.
NO_MOVE = ("SOLVER.OPTIMIZER", "sgd", "SOLVER.LR", "1e-60", "SOLVER.MAX_STEPS", "1", "MODEL.FREEZE_BN", "true")
Weights = dict[str, Tensor]


def train_here(out_dir: Path, recipe: Path | None, pairs: Sequence[object]) -> Path:
    """Trains a recipe (None: the defaults) with KEY VALUE pairs; the folder it wrote. Saves at epochs' ends only."""
    train(load_config(recipe, ["CHECKPOINT.PERIOD", "0", *map(str, pairs), "OUT_DIR", str(out_dir)]))
    return out_dir


class Killed(Exception):
    """In place of kill -9."""


def train_killed_at(step: int, out_dir: Path, recipe: Path | None, pairs: Sequence[object]) -> Path:
    """`train_here` that ends before the record of `step`, as if it were killed."""
    record = Logger.record

    def killed(self: Logger, kind: str, at: int, values: dict) -> None:
        if at == step:
            raise Killed
        record(self, kind, at, values)

    with mock.patch.object(Logger, "record", killed), pytest.raises(Killed):
        train_here(out_dir, recipe, pairs)
    return out_dir


def records(out_dir: Path, kind: str) -> list[dict]:
    """The lines of metrics.jsonl of one kind: train, epoch."""
    lines = (out_dir / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def checkpoint(path: Path) -> dict:
    """A checkpoint's content; of a folder, its last.pth."""
    return torch.load(path / "last.pth" if path.is_dir() else path, weights_only=True)


def weights(path: Path) -> Weights:
    """The networks of a checkpoint, or of a folder's last.pth."""
    return checkpoint(path)["model"]


def distance(left: Weights, right: Weights) -> float:
    """The norm of the difference of all floating-point tensors."""
    assert left.keys() == right.keys()
    parts = [(left[key].double() - right[key].double()).norm() for key in left if left[key].is_floating_point()]
    return torch.stack(parts).norm().item()


def differing(left: Weights, right: Weights) -> list[str]:
    """The names of the tensors that are not equal to the last bit."""
    assert left.keys() == right.keys()
    return [name for name in left if not torch.equal(left[name], right[name])]
