"""Where predictions come from: a model, files, or a class of another package. Whatever it is, it is scored alike.

A predictor of another package is a frozen dataclass under `@PREDICTORS.register("name")`; its fields are its options:

    @PREDICTORS.register("stereo_matching")
    @dataclass(frozen=True)
    class StereoMatching(DepthPredictor):
        block: int = 9
        frame_offsets = (0, STEREO)
        gives = "depth"

        def predictions(self, protocol, reader, batches): ...

and `tools/evaluate.py --predictor stereo_matching block=5` scores it.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from yacs.config import CfgNode

from mdtk.core.errors import MdtkError
from mdtk.core.registry import Registry
from mdtk.datasets.reader import DatasetReader, Offset
from mdtk.evaluation.io.external import load_external
from mdtk.evaluation.scoring.protocols import Protocol
from mdtk.inference.predict import predict

# Images (B, 3·F, H, W) in 0 … 1 on the device, F frames one after the other, and the key of their dataset
# → scaled disparity (B, 1, H, W)
DatasetModel = Callable[[Tensor, str], Tensor]
PairModel = Callable[[Tensor, Tensor], Tensor]  # images (B, 3, H, W) of frames i and i+1 → next_T_this (B, 4, 4)


class DepthPredictor(abc.ABC):
    """Predicts a map for each image of a benchmark. What it says of itself goes into every result."""

    frame_offsets: Sequence[Offset] = (0,)  # the frames of an entry that it looks at; 0: the entry's own
    gives: str = "disparity"  # what `predictions` holds, a key of `alignment.KINDS`: scaled disparity (1 / depth), …

    @abc.abstractmethod
    def predictions(
        self, protocol: Protocol, reader: DatasetReader, batches: Sequence[Sequence[int]]
    ) -> Mapping[str, np.ndarray]:
        """Name → map (h, w) float32 of finite values, for the entries of `reader` in `batches` (indices).

        Disparity and depth are positive; what is affine, known up to scale and shift alone, may take any value.
        Any size will do, it is brought to the ground truth's. Missing or corrupt input raises `MdtkError`.
        """

    def describe(self) -> str:
        """One line on what predicts and with which settings."""
        return repr(self)


PREDICTORS: Registry[type[DepthPredictor]] = Registry("predictor")


@PREDICTORS.register("model")
@dataclass(frozen=True)
class ModelPredictor(DepthPredictor):
    """A model run on images resized to (height, width)."""

    model: DatasetModel
    height: int
    width: int
    frame_offsets: Sequence[Offset] = (0,)
    device: torch.device | str = "cpu"
    post_process: bool = False
    workers: int = 0
    motion: PairModel | None = None  # of the checkpoint's pose network, for what neighbouring frames say

    def predictions(
        self, protocol: Protocol, reader: DatasetReader, batches: Sequence[Sequence[int]]
    ) -> Mapping[str, np.ndarray]:
        """Runs the model on these batches."""
        return predict(
            lambda images: self.model(images, reader.dataset),
            reader,
            batches,
            self.height,
            self.width,
            offsets=self.frame_offsets,
            device=self.device,
            post_process=self.post_process,
            workers=self.workers,
        )

    def describe(self) -> str:
        """For example "network input 640x192, flip post-processing"."""
        frames = "" if tuple(self.frame_offsets) == (0,) else f", frames {', '.join(map(str, self.frame_offsets))}"
        return f"network input {self.width}x{self.height}{frames}" + (
            ", flip post-processing" if self.post_process else ""
        )


@PREDICTORS.register("files")
@dataclass(frozen=True)
class FilePredictor(DepthPredictor):
    """Predictions read from a `.npy` or a folder, disparity or depth as the user says; see `external.load_external`."""

    path: str
    gives: str = "disparity"
    frame_offsets = ()  # the images were another program's business

    def predictions(
        self, protocol: Protocol, reader: DatasetReader, batches: Sequence[Sequence[int]]
    ) -> Mapping[str, np.ndarray]:
        """All of the files' predictions; each is read when asked for."""
        return load_external(self.path, self.gives, protocol, reader)

    def describe(self) -> str:
        """For example "predictions of disps.npy, read as disparity"."""
        return f"predictions of {self.path}, read as {self.gives}"


class _Inverse(Mapping[str, np.ndarray]):
    """1 / each map of another mapping, computed when asked for."""

    def __init__(self, maps: Mapping[str, np.ndarray]) -> None:
        self._maps = maps

    def __getitem__(self, name: str) -> np.ndarray:
        with np.errstate(divide="ignore"):  # scoring refuses what is not finite, and names the image
            return 1 / self._maps[name]

    def __contains__(self, name: object) -> bool:
        return name in self._maps

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)


def predicted_disparities(
    predictor: DepthPredictor, protocol: Protocol, reader: DatasetReader, batches: Sequence[Sequence[int]]
) -> Mapping[str, np.ndarray]:
    """What a predictor gives for the entries in `batches`: scaled disparity (h, w) by name, or affine maps as they are.

    `kind_of` says which.
    """
    maps = predictor.predictions(protocol, reader, batches)
    return _Inverse(maps) if predictor.gives == "depth" else maps


def build_predictor(name: str, options: Mapping[str, object], asker: str = "--predictor") -> DepthPredictor:
    """The registered predictor `name` with its fields set by `options`.

    An unknown name, an unknown option or a missing one is an error that begins with `asker`.
    """
    kind = PREDICTORS.find(name, asker)
    declared: Sequence[dataclasses.Field[Any]] = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    fields = {field.name: field for field in declared if field.init}
    known = f"it takes {', '.join(fields)}" if fields else "it takes none"
    if unknown := [option for option in options if option not in fields]:
        raise MdtkError(f"{asker} {name} has no option {unknown[0]}; {known}")
    needed = [
        field.name
        for field in fields.values()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing := [option for option in needed if option not in options]:
        raise MdtkError(f"{asker} {name} needs the option {missing[0]}; {known}")
    return kind(**options)


def build_model_predictor(
    cfg: CfgNode,
    model: DatasetModel,
    device: torch.device | str,
    frame_offsets: Sequence[Offset] = (0,),
    motion: PairModel | None = None,
) -> ModelPredictor:
    """A model in eval mode on `device`, at the configuration's input size, and its pose network if it has one."""
    return ModelPredictor(
        model,
        cfg.DATA.HEIGHT,
        cfg.DATA.WIDTH,
        tuple(frame_offsets),
        device,
        post_process=cfg.EVAL.POST_PROCESS,
        workers=cfg.DATA.WORKERS,
        motion=motion,
    )


def kind_of(predictor: DepthPredictor) -> str:
    """What `predicted_disparities` holds for this predictor: disparity, affine_disparity or affine_depth."""
    return predictor.gives if predictor.gives.startswith("affine") else "disparity"
