"""The forward half of a step, shared by training and validation, and the reading of its losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.data.augmentation import augment
from mdtk.data.batch import Batch
from mdtk.data.views import build_views
from mdtk.losses.objective import Losses, LossOptions, compute_losses


def forward(system: nn.Module, batch: Batch, options: LossOptions, pictures: bool = False) -> Losses:
    """Augmentation, views, networks, losses of a batch that is on the device."""
    with torch.no_grad():
        augmented = augment(batch)
        views = build_views(augmented, batch)
    prediction = system(views, augmented.jittered_bn3hw, augmented.stereo_T_b44, batch.depth_range_b2)
    return compute_losses(views, prediction, batch.depth_range_b2, options, pictures)


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
