"""Where predictions come from: a model, or files. One interface for training's epoch end and tools/evaluate.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

import numpy as np
import torch
from torch import Tensor

from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.io.external import load_external
from mdtk.evaluation.scoring.protocols import Protocol
from mdtk.inference.predict import predict

# Images (B, 3, H, W) in 0 … 1 on the device, and the key of their dataset → scaled disparity (B, 1, H, W)
DatasetModel = Callable[[Tensor, str], Tensor]


class Source(Interface):
    """Gives scaled disparity (h, w) by name for the entries of `reader` in `batches`."""

    def predictions(
        self, protocol: Protocol, reader: DatasetReader, batches: Sequence[Sequence[int]]
    ) -> Mapping[str, np.ndarray]: ...

    @property
    def words(self) -> str: ...


@dataclass(frozen=True)
class ModelSource:
    """A model run on images resized to (height, width)."""

    model: DatasetModel
    height: int
    width: int
    device: torch.device | str = "cpu"
    post_process: bool = False
    workers: int = 0
    progress: bool = False

    def predictions(
        self, protocol: Protocol, reader: DatasetReader, batches: Sequence[Sequence[int]]
    ) -> Mapping[str, np.ndarray]:
        """Runs the model on these batches."""
        return predict(
            lambda images: self.model(images, reader.key),
            reader,
            batches,
            self.height,
            self.width,
            self.device,
            self.post_process,
            self.workers,
            self.progress,
        )

    @property
    def words(self) -> str:
        """For example "network input 640x192, flip post-processing"."""
        return f"network input {self.width}x{self.height}" + (", flip post-processing" if self.post_process else "")


@dataclass(frozen=True)
class FileSource:
    """Predictions read from a `.npy` or a folder; see `external.load_external`."""

    path: str
    kind: str = "disparity"

    def predictions(
        self, protocol: Protocol, reader: DatasetReader, batches: Sequence[Sequence[int]]
    ) -> Mapping[str, np.ndarray]:
        """All of the file's predictions, read when asked for."""
        return load_external(self.path, self.kind, protocol, reader)

    @property
    def words(self) -> str:
        """For example "predictions of disps.npy, read as disparity"."""
        return f"predictions of {self.path}, read as {self.kind}"
