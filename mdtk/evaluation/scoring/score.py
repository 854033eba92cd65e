"""One image: a predicted disparity and a ground truth → a row of metrics, in the order of the protocol's steps."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from mdtk.core.errors import MdtkError
from mdtk.evaluation.scoring.alignment import ALIGNMENTS, KINDS, Alignment, align, apply, clamp
from mdtk.evaluation.scoring.fits import Solution
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

    @property
    def row(self) -> Alignment:
        """The row of the alignment."""
        return ALIGNMENTS[self.alignment]

    def describe(self) -> str:
        """For example "predicted depth × 5.4 (…); predicted depth is taken as metres"."""
        origin = f" ({self.factor_origin})" if self.factor_origin else ""
        factor = f"predicted depth × {self.factor:g}{origin}; then " if self.factor != 1.0 else ""
        return factor + self.row.description


@dataclass(frozen=True)
class Row:
    """The result of one image. `index` is its place in the list; `shift` is of alignments that fit one.

    `full` is the size (H, W) of the ground truth before the protocol's window, `floor` the minimum of disparity that
    alignment used. `recording` is the drive or scene that the image is of.
    """

    index: int
    name: str
    metrics: dict[str, float]
    valid_pixels: int
    scale: float
    shift: float = 0.0
    height: int = 0
    width: int = 0
    recording: str = ""
    full: tuple[int, int] = (0, 0)
    floor: float = 0.0


@dataclass(frozen=True)
class Pair:
    """Ground truth and unaligned prediction (fixed factor applied) on the valid pixels, (N,) float64.

    `gt` is depth; `pred` is in the space `given`: depth, or disparity where it is known up to scale and shift alone.
    `mask` (H, W) holds the places of the pixels, `full` the ground truth's size before the protocol's window.
    """

    gt: np.ndarray
    pred: np.ndarray
    mask: np.ndarray
    given: str = "depth"
    full: tuple[int, int] = (0, 0)

    @property
    def shape(self) -> tuple[int, int]:
        """The size (H, W) that is scored."""
        return self.mask.shape[0], self.mask.shape[1]


def resize(image: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    """A map (h, w) float32 at (height, width), by a key of `protocols.INTERPOLATIONS`."""
    if interpolation in _OPENCV:
        return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=_OPENCV[interpolation])
    tensor = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None]
    if interpolation == "nearest":
        return F.interpolate(tensor, (height, width), mode="nearest")[0, 0].numpy()
    return F.interpolate(tensor, (height, width), mode="bilinear", align_corners=True)[0, 0].numpy()


def depth_at(
    protocol: Protocol,
    values: np.ndarray,
    height: int,
    width: int,
    kind: str = "disparity",
    full: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """The prediction at (height, width), by the protocol's way of resizing; nothing aligned yet.

    It is depth, except for `kind` affine_disparity, whose values have no inverse before they are aligned. Under a
    protocol with a window, `full` is the whole ground truth's size: a prediction of the whole image is cut like it.
    """
    window = protocol.window
    if window and values.shape != (height, width):
        whole = _resized(protocol, values, *full, kind)
        return window.cut(whole, protocol.key)
    return _resized(protocol, values, height, width, kind)


def _resized(protocol: Protocol, values: np.ndarray, height: int, width: int, kind: str) -> np.ndarray:
    if kind.startswith("affine"):
        return resize(values, height, width, protocol.interpolation)
    if protocol.resized == "disparity":
        return 1 / resize(values, height, width, protocol.interpolation)
    return resize(1 / values, height, width, protocol.interpolation)


def pair(
    protocol: Protocol, name: str, values: np.ndarray, depth_gt: np.ndarray, factor: float, kind: str = "disparity"
) -> Pair:
    """Resizes, inverts, masks and multiplies by `factor`. Without a valid pixel the arrays are empty.

    `values` is a map (h, w) of disparity, or with the `kind` affine_disparity or affine_depth known up to scale and
    shift alone, where any finite value is legal.
    """
    check_prediction(values, name, kind)
    full = (depth_gt.shape[0], depth_gt.shape[1])
    depth_gt = protocol.cut(depth_gt, name)
    mask = protocol.valid(depth_gt)
    depth = depth_at(protocol, values, depth_gt.shape[0], depth_gt.shape[1], kind, full)
    pred = depth[mask].astype(np.float64)
    return Pair(depth_gt[mask].astype(np.float64), pred if _unscaled(kind) else pred * factor, mask, KINDS[kind], full)


def _unscaled(kind: str) -> bool:
    return kind.startswith("affine")  # a factor on depth means nothing where a shift is unknown


def check_prediction(values: np.ndarray, name: str, kind: str = "disparity") -> None:
    """A prediction is a map (h, w) of finite values, positive ones except for affine kinds; else an error names it."""
    if values.ndim != 2 or not values.size:
        raise MdtkError(f"{name}: the prediction has shape {values.shape}; it must be one map, height x width")
    if not np.isfinite(values).all():
        raise MdtkError(
            f"{name}: the prediction holds values that are not finite and positive; check the model's output"
            if kind == "disparity"
            else f"{name}: the prediction holds values that are not finite; check the model's output"
        )
    if kind == "disparity" and not (values > 0).all():
        raise MdtkError(
            f"{name}: the prediction holds values that are not finite and positive; check the model's output, "
            "or say --predictions_are affine_disparity where it is known up to scale and shift alone"
        )


def score(
    protocol: Protocol, index: int, name: str, both: Pair, alignment: str, shared: Solution | None, recording: str = ""
) -> Row:
    """Aligns, clamps and measures one image; without a valid pixel the row has no metrics.

    `shared` is the scale and shift of an alignment whose scope is wider than an image.
    """
    if both.gt.size == 0:
        return Row(index, name, {}, 0, float("nan"), recording=recording)
    cap = protocol.clamp[1]
    aligned = align(both.gt, both.pred, alignment, protocol.median, both.given, both.mask, cap, shared)
    depth = clamp(ALIGNMENTS[alignment], aligned.depth, protocol.clamp)
    metrics = compute_metrics(both.gt, depth, metrics_of(protocol.metrics))
    found = (metrics, both.gt.size, aligned.scale, aligned.shift, *both.shape)
    return Row(index, name, *found, recording=recording, full=both.full, floor=aligned.floor)


def aligned_depth(
    protocol: Protocol, scale: ScaleMode, row: Row, values: np.ndarray, kind: str = "disparity"
) -> np.ndarray:
    """The depth (H, W) in metres that `row` was measured on, everywhere: resized, aligned as the row was, clamped."""
    depth = depth_at(protocol, values, row.height, row.width, kind, row.full).astype(np.float64)
    if not _unscaled(kind):
        depth = depth * scale.factor
    solution = (1.0, float(np.log(row.scale))) if scale.row.space == "log_depth" else (row.scale, row.shift)
    return clamp(scale.row, apply(scale.row, solution, depth, KINDS[kind], row.floor), protocol.clamp)
