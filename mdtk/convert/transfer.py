"""Transfers published parameters into this project's networks, strictly: every name and shape must fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from mdtk.config import dump
from mdtk.core.errors import MdtkError
from mdtk.core.weights import write_weights

Array = np.ndarray | Tensor

COUNTER = "num_batches_tracked"  # only PyTorch's batch norm has it; nothing computed here depends on it
LISTED = 30  # maximum number of names that a message lists


@dataclass
class ConvertedCheckpoint:
    """A converted checkpoint: parameters, configuration, and what is known about its origin."""

    state: dict[str, Tensor]  # by parameter name of `DepthSystem`
    cfg: CfgNode
    meta: dict[str, Any]
    dropped: list[str] = field(default_factory=list)  # published names without a place here, such as the classifier's
    notes: list[str] = field(default_factory=list)  # what the files do not state and was assumed

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a native checkpoint, atomically."""
        meta = {**self.meta, "dropped": list(self.dropped), "notes": list(self.notes)}
        write_weights(path, {"model": self.state, "cfg": dump(self.cfg), "meta": meta})


class Transfer:
    """Collects the parameters of a system part by part, and the names of those that do not fit."""

    def __init__(self, origin: str, *, has_counters: bool = True) -> None:
        """A transfer from the file or folder `origin`.

        `has_counters` says whether the format stores batch norm's `num_batches_tracked`; otherwise they become 0.
        """
        self.origin, self.has_counters = origin, has_counters
        self.state: dict[str, Tensor] = {}
        self.dropped: list[str] = []
        self._missing: list[str] = []
        self._unexpected: list[str] = []
        self._misshaped: list[str] = []

    def add(
        self,
        part: str,
        module: nn.Module,
        arrays: Mapping[str, Array],
        rename: Callable[[str], str],
        *,
        file: str,
        droppable: tuple[str, ...] = (),
    ) -> None:
        """Takes the parameters of `module` from `arrays` and keeps them as `part`.*.

        `rename` gives the published name of a parameter, `file` names the source in messages, and published names that
        start with one of `droppable` are dropped and listed.
        """
        left = dict(arrays)
        for native, wanted in module.state_dict().items():
            published = rename(native)
            if native.endswith(COUNTER) and not self.has_counters:
                self.state[f"{part}.{native}"] = torch.zeros((), dtype=torch.long, device="cpu")
            elif published not in left:
                self._missing.append(f"{file}:{published}")
            else:
                self._take(f"{part}.{native}", wanted, left.pop(published), f"{file}:{published}")
        for name in left:
            known = name.startswith(droppable) if droppable else False
            (self.dropped if known else self._unexpected).append(f"{file}:{name}")

    def _take(self, native: str, wanted: Tensor, array: Array, published: str) -> None:
        if tuple(array.shape) != tuple(wanted.shape):
            self._misshaped.append(f"{published} {tuple(array.shape)} instead of {tuple(wanted.shape)}")
            return
        tensor = torch.from_numpy(np.array(array, order="C")) if isinstance(array, np.ndarray) else array
        if tensor.is_floating_point() != wanted.is_floating_point():
            self._misshaped.append(f"{published} of {tensor.dtype} instead of {wanted.dtype}")
            return
        self.state[native] = tensor.detach().to("cpu", wanted.dtype, copy=True).reshape(wanted.shape).contiguous()

    def finish(self, what: str) -> dict[str, Tensor]:
        """The state dict. Raises `MdtkError` that lists missing, unknown and mis-shaped parameters."""
        kinds = {
            "missing": self._missing,
            "unexpected": self._unexpected,
            "of another shape or type": self._misshaped,
        }
        problems = [f"{kind}: {_listing(names)}" for kind, names in kinds.items() if names]
        if problems:
            raise MdtkError(f"{self.origin} is not a complete {what}; {'; '.join(problems)}")
        return self.state


def _listing(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def tensors_and_settings(
    content: Mapping[str, Any], origin: str, allowed: tuple[str, ...]
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Splits a state dict into tensors and the numbers named in `allowed`. Raises `MdtkError` for other values."""
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    settings = {name: value for name, value in content.items() if name in allowed and name not in tensors}
    strange = [name for name in content if name not in tensors and name not in settings]
    if strange:
        raise MdtkError(f"{origin}: unexpected values that are not tensors: {', '.join(map(str, strange[:30]))}")
    for name, value in settings.items():
        if not isinstance(value, (int, float, bool)):
            raise MdtkError(f"{origin}: {name} is a {type(value).__name__}, not a number")
    return tensors, settings
