"""One training step, the forward half that validation shares, and the reading of its losses."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.data.batch import Batch
from mdtk.data.preparation import Preparation
from mdtk.losses.objective import Losses, Objective
from mdtk.training.solver import learning_rate, set_learning_rate
from mdtk.training.state import Run, TrainState


def forward(
    system: nn.Module, batch: Batch, prepare: Preparation, objective: Objective, pictures: bool = False
) -> Losses:
    """Augmentation and views, networks, losses of a batch that is on the device."""
    inputs = prepare(batch)
    prediction = system(inputs)
    return objective(inputs, prediction, pictures)


def set_mode(system: nn.Module, freeze_bn: bool) -> None:
    """Training mode; batch norms keep their statistics with MODEL.FREEZE_BN."""
    system.train()
    if freeze_bn:
        for module in system.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def train_step(run: Run, state: TrainState, batch: Batch, pictures: bool = False) -> Losses:
    """One optimiser step on this process's share of the batch."""
    cfg = run.cfg
    # 1. Every random number of a step follows from (seed, step, rank): a resumed run draws the same.
    distributed.seed(_step_seed(cfg.SEED, state.step), run.device)
    # 2. The learning rate is a function of the step.
    set_learning_rate(state.optimizer, learning_rate(cfg, state.step, run.sampler.steps_per_epoch, run.total_steps))
    # 3. uint8 crosses to the device while it still works on the step before.
    batch = batch.to(run.device)
    parts = cfg.SOLVER.ACCUMULATE
    size = len(batch) // parts
    sums: Losses | None = None
    for index in range(parts):
        part = batch if parts == 1 else batch.part(index * size, (index + 1) * size)
        # 4. Forward and backward; gradients are averaged over the processes with the last part only.
        with _no_sync(run.wrapped, index < parts - 1):
            losses = forward(run.wrapped, part, run.prepare, run.objective, pictures and index == 0)
            (losses.total / parts).backward()
        sums = losses if sums is None else _add(sums, losses)
    # 5. Clip, step, average.
    if cfg.SOLVER.CLIP_GRAD:
        nn.utils.clip_grad_norm_(state.system.parameters(), cfg.SOLVER.CLIP_GRAD)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    if state.average is not None:
        state.average.update(state.system)
    assert sums is not None
    sums.scalars = {name: value.detach() / parts for name, value in sums.scalars.items()}
    return sums


def _step_seed(seed: int, step: int) -> int:
    return (seed * 1_000_003 + step) * 4099 + distributed.rank()


def _no_sync(wrapped: nn.Module, wait: bool) -> AbstractContextManager:
    if wait and isinstance(wrapped, nn.parallel.DistributedDataParallel):
        return wrapped.no_sync()
    return nullcontext()


def _add(total: Losses, more: Losses) -> Losses:
    scalars = {name: value + more.scalars[name] for name, value in total.scalars.items()}
    return Losses(total.total, scalars, total.pictures)


class Meter:
    """Losses of the steps since the last reading, kept on the device."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, Sequence[str], dict[str, Tensor]]] = []

    def add(self, step: int, scalars: dict[str, Tensor], names: Sequence[str]) -> None:
        """Keeps a step's scalars; `names` are its samples'. Nothing is read."""
        self.steps.append((step, names, {name: value.detach() for name, value in scalars.items()}))

    def read(self) -> dict[str, float]:
        """Means over the steps and the processes. A loss that is not finite is an error that names its samples."""
        names = list(self.steps[0][2])
        table = torch.stack([torch.stack([scalars[name].float() for name in names]) for _, _, scalars in self.steps])
        finite = torch.isfinite(table).all(1)
        sums = distributed.all_sum(torch.cat([table.mean(0), (~finite).any()[None].float()]))
        *values, bad = (sums / distributed.world_size()).tolist()
        if bad:
            seen = zip(self.steps, finite.tolist(), strict=True)
            own = [(step, samples) for (step, samples, _), good in seen if not good]
            where = f"step {own[0][0]}, samples {', '.join(own[0][1])}" if own else "another process"
            raise MdtkError(
                f"the loss is not finite ({where}); lower SOLVER.LR or set SOLVER.CLIP_GRAD; "
                "the last checkpoint is from before"
            )
        self.steps = []
        return dict(zip(names, values, strict=True))
