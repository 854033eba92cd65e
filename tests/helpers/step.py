"""The forward half of a training step, in one place for all tests that take one by hand."""

from __future__ import annotations

from torch import nn
from yacs.config import CfgNode

from mdtk.data.batch import Batch
from mdtk.data.preparation import build_preparation
from mdtk.losses.objective import Losses, build_objective
from mdtk.training.step import forward


def forward_half(cfg: CfgNode, system: nn.Module, batch: Batch) -> Losses:
    """Augmentation, views, networks and losses of a batch that is on the system's device."""
    return forward(system, batch, build_preparation(cfg), build_objective(cfg), pictures=True)
