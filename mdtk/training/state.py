"""What a training holds: `Run` stays the same, `TrainState` changes with every step."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from yacs.config import CfgNode

from mdtk.config.sections import (
    CheckpointSection,
    DataSection,
    EvalSection,
    LogSection,
    ModelSection,
    SolverSection,
)
from mdtk.data.preparation import Preparation
from mdtk.data.sampler import TrainSampler
from mdtk.evaluation.eval_config import EvalConfig
from mdtk.losses.objective import Objective
from mdtk.models.system import DepthSystem
from mdtk.training.compiled import Compare, Predict
from mdtk.training.logger import Logger
from mdtk.training.solver import Average


@dataclass
class TrainState:
    """Everything that changes while training. `step` counts optimiser steps over all epochs."""

    system: DepthSystem
    optimizer: torch.optim.Optimizer
    average: Average | None = None
    step: int = 0
    best: float | None = None  # lowest validation loss so far
    best_step: int | None = None
    history: list[dict] = field(default_factory=list)  # one record an epoch
    refused: int = 0  # steps that changed nothing, since their loss or gradient was not finite
    refused_in_row: int = 0  # of them, the newest ones without any other between
    accepted: int = 0  # `step` after the newest update
    saved: int = 0  # `step` of last.pth
    baselines: dict[str, dict[str, float]] | None = None  # label → "protocol/metric" → mean; scored once a run
    pictures: dict[str, torch.Tensor] = field(default_factory=dict)  # of the epoch's last step; not saved

    @property
    def evaluated(self) -> DepthSystem:
        """The networks that are evaluated and shipped: the average when there is one."""
        if self.average is None:
            return self.system
        assert isinstance(self.average.module, DepthSystem)
        return self.average.module


@dataclass(frozen=True)
class Run:
    """What stays the same during a training."""

    cfg: CfgNode  # for the text in checkpoints; what a step or an epoch needs of it is in the sections below
    seed: int
    data: DataSection
    model: ModelSection
    solver: SolverSection
    evaluation: EvalSection
    log: LogSection
    checkpoints: CheckpointSection
    device: torch.device
    out_dir: Path
    wrapped: nn.Module  # the system, under DDP when there are several processes
    predict: Predict  # the call of it in a step, compiled or not
    compare: Compare  # the call of the objective in a step, compiled or not
    sampler: TrainSampler
    loader: DataLoader
    val_loader: DataLoader | None
    prepare: Preparation
    prepare_plain: Preparation  # for validation: no augmentation, the whole image alone
    objective: Objective
    logger: Logger
    total_steps: int
    eval_config: EvalConfig  # of every epoch's end
    lists: dict[str, str] = field(default_factory=dict)  # the sha256 of each split list
    unreadable: list[str] = field(default_factory=list)  # samples of this process that were replaced

    def at_epochs_end(self, step: int) -> bool:
        """Whether an epoch ends with `step`."""
        return step % self.sampler.steps_per_epoch == 0 or step >= self.total_steps

    @property
    def epochs(self) -> int:
        """Epochs of the whole training, the last one maybe cut short by SOLVER.MAX_STEPS."""
        return -(-self.total_steps // self.sampler.steps_per_epoch)
