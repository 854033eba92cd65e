"""Optimizer, learning-rate schedule, averaging of weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from mdtk.config.sections import SolverSection


def build_optimizer(cfg: CfgNode, module: nn.Module) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD over every parameter that trains."""
    solver = SolverSection.of(cfg)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if solver.optimizer == "sgd":
        sgd = torch.optim.SGD(
            parameters, solver.lr, momentum=solver.momentum, weight_decay=solver.weight_decay, fused=True
        )
        if solver.momentum:  # torch would leave it undefined where the first step is refused
            for parameter in parameters:
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[solver.optimizer]
    return kind(
        parameters, solver.lr, betas=(solver.betas[0], solver.betas[1]), weight_decay=solver.weight_decay, fused=True
    )


def learning_rate(solver: SolverSection, step: int, steps_per_epoch: int, total_steps: int) -> float:
    """The rate of a step: a function of the step alone, so a resumed run needs no scheduler state.

    `step`: LR × GAMMA^(number of STEP_EPOCHS that have begun); the published recipes drop at epoch index 15 with
    torch 0.4.1 and at 14 with torch >= 1.1, STEP_EPOCHS says which. `cosine`: from LR to MIN_LR over all steps.
    """
    if solver.schedule == "step":
        begun = sum(step >= epoch * steps_per_epoch for epoch in solver.step_epochs)
        rate = solver.lr * solver.gamma**begun
    else:
        share = step / max(1, total_steps)
        rate = solver.min_lr + (solver.lr - solver.min_lr) * (1 + math.cos(math.pi * share)) / 2
    if step < solver.warmup_steps:
        rate *= (step + 1) / solver.warmup_steps
    return rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """One rate for every parameter."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class Average:
    """An exponential moving average of weights and buffers (Polyak and Juditsky 1992; Tarvainen and Valpola 2017).

    The first update copies. Unlike torch's `AveragedModel`, an update never waits for the device.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay, self.count = copy.deepcopy(module).requires_grad_(False), decay, 0

    @torch.no_grad()
    def update(self, module: nn.Module, refused: Tensor | None = None) -> None:
        """decay × the average + (1 - decay) × `module`; what cannot be averaged, such as counters, is copied.

        Where `refused` () is not 0, nothing changes but the count of updates.
        """
        pairs = list(zip(_tensors(self.module), _tensors(module), strict=True))
        averaged = [pair for pair in pairs if self.count and pair[0].is_floating_point()]
        copied = [pair for pair in pairs if not (self.count and pair[0].is_floating_point())]
        if averaged:
            own, new = ([pair[side] for pair in averaged] for side in (0, 1))
            if refused is not None:
                new = [torch.where(refused > 0, left, right) for left, right in zip(own, new, strict=True)]
            torch._foreach_lerp_(own, new, weight=1 - self.decay)
        for target, source in copied:
            target.copy_(source)
        self.count += 1


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def build_average(cfg: CfgNode, module: nn.Module) -> Average | None:
    """The average that SOLVER.EMA asks for."""
    return Average(module, cfg.SOLVER.EMA) if cfg.SOLVER.EMA else None
