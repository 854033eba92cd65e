"""The typed batch that crosses from the loader to the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mdtk.core.structures import Parameters


@dataclass(frozen=True)
class Sample:
    """One training sample as a worker makes it. Frame 0 is the target, the sources follow in recipe order."""

    name: str
    frames_n3hw: np.ndarray  # uint8
    K_33: np.ndarray  # float32, pixels of the frames
    # float32, source ← target in depth units, of the sources whose motion the data tell: the last K, the other
    # camera last.
    known_T_k44: np.ndarray
    depth_range_2: np.ndarray  # float32, depth of sigmoid 1 and 0
    # What augmentations and views drew, as "flip/on", and the frames that views cut, as "crop/frames".
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
    on_host: frozenset[str] = frozenset()  # those that the host decides by: they do not cross to the device
    problem: str = ""  # why the sample that was asked for is replaced by this one


@dataclass(frozen=True)
class Batch:
    """A batch of samples. N frames: the target, then the sources. Images are uint8 until they are prepared."""

    names: tuple[str, ...]
    frames_bn3hw: Tensor
    K_b33: Tensor
    known_T_bk44: Tensor
    depth_range_b2: Tensor
    parameters: Parameters = field(default_factory=dict)
    on_host: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()  # of samples that could not be read and are replaced

    def __len__(self) -> int:
        return len(self.names)

    def own(self, name: str) -> dict[str, Tensor]:
        """The parameters of the view or augmentation `name`, by their own names."""
        prefix = f"{name}/"
        return {key.removeprefix(prefix): value for key, value in self.parameters.items() if key.startswith(prefix)}

    def _map(self, function: Callable[[Tensor], Tensor], keep: frozenset[str] = frozenset()) -> Batch:
        parameters = {key: value if key in keep else function(value) for key, value in self.parameters.items()}
        return dataclasses.replace(
            self,
            frames_bn3hw=function(self.frames_bn3hw),
            K_b33=function(self.K_b33),
            known_T_bk44=function(self.known_T_bk44),
            depth_range_b2=function(self.depth_range_b2),
            parameters=parameters,
        )

    def to(self, device: torch.device | str, non_blocking: bool = True) -> Batch:
        """The batch on `device`; uint8 images cross as they are."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking), keep=self.on_host)

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory (called by the loader)."""
        return self._map(lambda tensor: tensor.pin_memory())

    def part(self, start: int, stop: int) -> Batch:
        """Samples `start` … `stop` - 1, for gradient accumulation."""
        return dataclasses.replace(self._map(lambda tensor: tensor[start:stop]), names=self.names[start:stop])


def collate(samples: Sequence[Sample]) -> Batch:
    """Stacks samples, of equal sizes and with the same parameters, into a `Batch` on the CPU."""

    def stack(arrays: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays))

    return Batch(
        names=tuple(sample.name for sample in samples),
        frames_bn3hw=stack([sample.frames_n3hw for sample in samples]),
        K_b33=stack([sample.K_33 for sample in samples]),
        known_T_bk44=stack([sample.known_T_k44 for sample in samples]),
        depth_range_b2=stack([sample.depth_range_2 for sample in samples]),
        parameters={key: stack([sample.parameters[key] for sample in samples]) for key in samples[0].parameters},
        on_host=samples[0].on_host,
        problems=tuple(sample.problem for sample in samples if sample.problem),
    )
