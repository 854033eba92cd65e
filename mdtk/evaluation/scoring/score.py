"""One image: a predicted disparity and a ground truth → a row of metrics, in the order of the protocol's steps."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from mdtk.core.errors import MdtkError
from mdtk.evaluation.scoring.alignment import ALIGNMENTS, align, median_ratio
from mdtk.evaluation.scoring.metrics import compute_metrics, metrics_of
from mdtk.evaluation.scoring.protocols import Protocol

_OPENCV = {"bilinear": cv2.INTER_LINEAR, "nearest_cv2": cv2.INTER_NEAREST}  # the rest is torch's


@dataclass(frozen=True)
class ScaleMode:
    """What is done about a prediction's unknown scale: first a fixed factor on depth, then an alignment by name."""

    alignment: str = "median"
    factor: float = 1.0
    factor_origin: str = ""  # where the factor comes from, for people

    def __post_init__(self) -> None:
        if self.alignment not in ALIGNMENTS:
            raise MdtkError(f"unknown alignment {self.alignment}; there are {', '.join(ALIGNMENTS)}")
        if not self.factor > 0:
            raise MdtkError(f"the factor on depth is {self.factor}; it must be positive")

    def describe(self) -> str:
        """For example "predicted depth × 5.4 (…); predicted depth is taken as metres"."""
        origin = f" ({self.factor_origin})" if self.factor_origin else ""
        factor = f"predicted depth × {self.factor:g}{origin}; then " if self.factor != 1.0 else ""
        return factor + ALIGNMENTS[self.alignment]


@dataclass(frozen=True)
class Row:
    """The result of one image. `index` is its place in the list; `shift` belongs to the alignment scale_shift."""

    index: int
    name: str
    metrics: dict[str, float]
    valid_pixels: int
    scale: float
    shift: float = 0.0
    height: int = 0
    width: int = 0


@dataclass(frozen=True)
class Pair:
    """Ground truth and unaligned prediction (fixed factor applied) on the valid pixels, depth (N,) float64."""

    gt: np.ndarray
    pred: np.ndarray
    shape: tuple[int, int]


def resize(image: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    """A map (h, w) float32 at (height, width), by a key of `protocols.INTERPOLATIONS`."""
    if interpolation in _OPENCV:
        return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=_OPENCV[interpolation])
    tensor = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None]
    if interpolation == "nearest":
        return F.interpolate(tensor, (height, width), mode="nearest")[0, 0].numpy()
    return F.interpolate(tensor, (height, width), mode="bilinear", align_corners=True)[0, 0].numpy()


def depth_at(protocol: Protocol, disparity: np.ndarray, height: int, width: int) -> np.ndarray:
    """Predicted depth (height, width) from disparity (h, w), by the protocol's way of resizing; nothing aligned yet."""
    if protocol.resized == "disparity":
        return 1 / resize(disparity, height, width, protocol.interpolation)
    return resize(1 / disparity, height, width, protocol.interpolation)


def pair(protocol: Protocol, name: str, disparity: np.ndarray, depth_gt: np.ndarray, factor: float) -> Pair:
    """Resizes, inverts, masks and multiplies by `factor`. Without a valid pixel the arrays are empty."""
    check_disparity(disparity, name)
    if protocol.frame:
        depth_gt = protocol.frame.cut(depth_gt, name)
    mask = protocol.valid(depth_gt)
    depth = depth_at(protocol, disparity, *depth_gt.shape)
    return Pair(depth_gt[mask].astype(np.float64), depth[mask].astype(np.float64) * factor, depth_gt.shape)


def check_disparity(disparity: np.ndarray, name: str) -> None:
    """A prediction is a map (h, w) of finite, positive values; anything else is an error that names the image."""
    if disparity.ndim != 2:
        raise MdtkError(f"{name}: the prediction has shape {disparity.shape}; it must be one map, height x width")
    if not (np.isfinite(disparity).all() and (disparity > 0).all()):
        raise MdtkError(
            f"{name}: the prediction holds values that are not finite and positive; check the model's output"
        )


def pair_ratio(protocol: Protocol, both: Pair) -> float:
    """median(ground truth) / median(prediction), with the protocol's median."""
    return median_ratio(both.gt, both.pred, protocol.median)


def score(protocol: Protocol, index: int, name: str, both: Pair, alignment: str, global_ratio: float) -> Row:
    """Aligns, clamps and measures one image; without a valid pixel the row has no metrics."""
    if both.gt.size == 0:
        return Row(index, name, {}, 0, float("nan"))
    aligned = align(both.gt, both.pred, alignment, protocol.median, global_ratio)
    low, high = protocol.clamp
    depth = aligned.depth if low is None and high is None else np.clip(aligned.depth, low, high)
    metrics = compute_metrics(both.gt, depth, metrics_of(protocol.metrics))
    return Row(index, name, metrics, both.gt.size, aligned.scale, aligned.shift, *both.shape)


def aligned_depth(protocol: Protocol, scale: ScaleMode, row: Row, disparity: np.ndarray) -> np.ndarray:
    """The depth (H, W) in metres that `row` was measured on, everywhere: resized, aligned as the row was, clamped."""
    depth = depth_at(protocol, disparity, row.height, row.width).astype(np.float64) * scale.factor
    if scale.alignment == "scale_shift":
        shifted = row.scale / depth + row.shift
        depth = np.full_like(shifted, np.inf)
        np.divide(1.0, shifted, out=depth, where=shifted > 0)
    else:
        depth = depth * row.scale
    low, high = protocol.clamp
    return depth if low is None and high is None else np.clip(depth, low, high)
