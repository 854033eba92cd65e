"""Finite steps: whether loss and gradient are finite, found on the device, and a step that changes nothing.

Nothing here waits for the device: the answer is a tensor, which the fused optimisers take as `found_inf`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mdtk.core import distributed


@torch.no_grad()
def not_finite(totals: Sequence[Tensor], module: nn.Module) -> Tensor:
    """() float32: 1 when a loss of `totals` or the gradient's norm is not finite in any process, else 0."""
    norms = torch._foreach_norm([p.grad for p in module.parameters() if p.grad is not None])
    checked = torch.stack([*(total.detach().float() for total in totals), *(norm.float() for norm in norms)])
    # The gradient is one for all processes, the losses are each one's own.
    return (distributed.all_sum((~torch.isfinite(checked)).any().float()) > 0).float()


@dataclass
class Held:
    """The buffers of a module (the statistics of batch norms) as they were before a step, flat, by type."""

    groups: list[tuple[list[Tensor], Tensor]]

    @classmethod
    def of(cls, module: nn.Module) -> Held:
        """Copies the buffers of `module`."""
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for buffer in module.buffers():
            by_type.setdefault(buffer.dtype, []).append(buffer)
        return cls([(buffers, _flat(buffers)) for buffers in by_type.values()])

    @torch.no_grad()
    def put_back(self, where: Tensor) -> None:
        """Restores them if `where` () is not 0."""
        for buffers, before in self.groups:
            kept = torch.where(where > 0, before, _flat(buffers)).split([buffer.numel() for buffer in buffers])
            own = zip(kept, buffers, strict=True)
            torch._foreach_copy_(buffers, [part.view(buffer.shape) for part, buffer in own])


def _flat(buffers: Sequence[Tensor]) -> Tensor:
    return torch.cat([buffer.detach().reshape(-1) for buffer in buffers])
