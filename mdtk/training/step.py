"""One training step, the forward half that validation shares, and the reading of its losses."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mdtk.core import distributed
from mdtk.data.batch import Batch
from mdtk.data.preparation import Preparation
from mdtk.losses.objective import Losses
from mdtk.training.compiled import Compare, Predict
from mdtk.training.finite import Held, not_finite
from mdtk.training.solver import learning_rate, set_learning_rate
from mdtk.training.state import Run, TrainState


def forward(predict: Predict, batch: Batch, prepare: Preparation, compare: Compare, pictures: bool = False) -> Losses:
    """Augmentation and views, networks (`predict`), losses (`compare`) of a batch that is on the device."""
    inputs = prepare(batch)
    prediction = predict(inputs)
    return compare(inputs, prediction, pictures)


def set_mode(system: nn.Module, freeze_bn: bool) -> None:
    """Training mode; batch norms keep their statistics with MODEL.FREEZE_BN."""
    system.train()
    if freeze_bn:
        for module in system.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def train_step(run: Run, state: TrainState, batch: Batch, pictures: bool = False) -> tuple[Losses, Tensor]:
    """One optimiser step on this process's share of the batch; its losses, and whether it was refused.

    Refused, () float32 on the device: 1 when a loss or the gradient was not finite. Such a step changes nothing.
    """
    solver = run.solver
    # 1. Every random number of a step follows from (seed, step, rank): a resumed run draws the same.
    distributed.seed(_step_seed(run.seed, state.step), run.device)
    # 2. The learning rate is a function of the step.
    set_learning_rate(state.optimizer, learning_rate(solver, state.step, run.sampler.steps_per_epoch, run.total_steps))
    # 3. uint8 crosses to the device while it still works on the step before.
    batch = batch.to(run.device)
    parts, own = solver.accumulate, len(batch)
    found: list[tuple[float, Losses]] = []
    before = Held.of(state.system)
    for index in range(parts):
        part = batch if parts == 1 else batch.part(index * own // parts, (index + 1) * own // parts)
        # 4. Forward and backward. Gradients are averaged over the processes, with the last part only; each sample
        #    counts alike, however many a process or a part has.
        with _no_sync(run.wrapped, index < parts - 1):
            losses = forward(run.predict, part, run.prepare, run.compare, pictures and index == 0)
            (losses.total / run.sampler.parts_like(len(part))).backward()
        found.append((len(part) / own, losses.detach()))
    # 5. Clip, step, average: in no process, when a loss or the gradient of one is not finite.
    refused = not_finite([losses.total for _, losses in found], state.system)
    if solver.clip_grad:
        nn.utils.clip_grad_norm_(state.system.parameters(), solver.clip_grad)
    state.optimizer.found_inf = refused  # type: ignore[attr-defined]  # what the fused optimisers look at
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    before.put_back(refused)
    if state.average is not None:
        state.average.update(state.system, refused)
    return _mean(found), refused


def _step_seed(seed: int, step: int) -> int:
    return (seed * 1_000_003 + step) * 4099 + distributed.rank()


def _no_sync(wrapped: nn.Module, wait: bool) -> AbstractContextManager:
    if wait and isinstance(wrapped, nn.parallel.DistributedDataParallel):
        return wrapped.no_sync()
    return nullcontext()


def _mean(found: Sequence[tuple[float, Losses]]) -> Losses:
    """The mean of parts of a batch by their shares; the pictures of the first."""
    if len(found) == 1:
        return found[0][1]
    first = found[0][1]
    scalars = {name: torch.stack([w * one.scalars[name] for w, one in found]).sum() for name in first.scalars}
    return Losses(scalars["total"], scalars, first.pictures)


@dataclass
class Reading:
    """What a meter read: `means` over the steps that counted (empty without any), and the steps that were refused."""

    means: dict[str, float]
    refused: list[tuple[int, Sequence[str], dict[str, float]]]  # step, this process's samples, its losses
    first: int = 0  # of the steps read
    last: int = 0
    row: list[bool] = field(default_factory=list)  # of each step, whether it was refused


class Meter:
    """Losses of the steps since the last reading, kept on the device."""

    def __init__(self, parts_like: float = 1.0) -> None:
        """`parts_like`: of this process's samples (`TrainSampler.parts_like`)."""
        self.parts_like = parts_like
        self.steps: list[tuple[int, Sequence[str], dict[str, Tensor], Tensor]] = []

    def add(self, step: int, scalars: dict[str, Tensor], names: Sequence[str], refused: Tensor) -> None:
        """Keeps a step's scalars; `names` are its samples'. Nothing is read."""
        self.steps.append((step, names, {name: value.detach() for name, value in scalars.items()}, refused))

    def read(self) -> Reading:
        """Means over the steps and their samples, without refused steps, which are the same in every process."""
        names = list(self.steps[0][2])
        table = torch.stack([torch.stack([scalars[name].float() for name in names]) for _, _, scalars, _ in self.steps])
        row = [flag > 0 for flag in torch.stack([refused for *_, refused in self.steps]).tolist()]
        refused = [
            (step, samples, {name: float(scalars[name]) for name in names})
            for (step, samples, scalars, _), bad in zip(self.steps, row, strict=True)
            if bad
        ]
        good = [place for place, bad in enumerate(row) if not bad]
        means: dict[str, float] = {}
        if good:
            kept = table if len(good) == len(row) else table[good]
            sums = distributed.all_sum(kept.mean(0) / self.parts_like) / distributed.world_size()
            means = dict(zip(names, sums.tolist(), strict=True))
        reading = Reading(means, refused, self.steps[0][0], self.steps[-1][0], row)
        self.steps = []
        return reading
