"""Evaluation protocols as frozen rows of data. A published quirk is a field of its row; nothing branches on a name.

Rows are named `benchmark/variant`; `benchmark` alone is the row that the numbers in papers use. docs/protocols.md holds
the table of all differences, generated from here. Another package adds a row with `register_protocol(row)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.registry import Registry
from mdtk.evaluation.scoring.metrics import SEVEN
from mdtk.evaluation.scoring.regions import Box, Frame, Window

INTERPOLATIONS = {
    "bilinear": "bilinearly as OpenCV does (pixel centres at half-integers, corners not aligned)",
    "bilinear_aligned": "bilinearly with the corner pixels' centres aligned",
    "nearest": "to the nearest, floor(i · in/out) in float32 as torch does",
    "nearest_cv2": "to the nearest, floor(i · in/out) in float64 as OpenCV does",
}
MEDIANS = {"numpy": "the mean of the two middle values", "torch": "the lower of the two middle values"}


@dataclass(frozen=True)
class Protocol:
    """One evaluation. Depths are metres; a valid pixel has depth_min < ground truth < depth_max, both strict."""

    name: str
    variant: str
    title: str
    dataset: str
    split: str
    ground_truth: str  # kind, as the dataset's `ground_truth` takes it
    depth_min: float
    depth_max: float
    resized: str  # what is brought to the ground truth's size: "disparity" or "depth"
    interpolation: str  # a key of INTERPOLATIONS
    median: str  # a key of MEDIANS
    clamp: tuple[float | None, float | None]  # of the aligned prediction
    metrics: tuple[str, ...] = SEVEN
    frame: Frame | None = None
    window: Window | None = None  # of the ground truth, cut before the crop; see `score.depth_at` for predictions
    alignment: str = ""  # that the protocol prescribes, where EVAL.ALIGNMENT is auto; empty: as the model was trained
    crop: Box | None = None  # of the ground truth within the frame
    ratio_ddof: int = 0  # of the spread of scale ratios, std(ratio / median ratio)
    wider_split: str = ""  # a list that holds this one: predictions for all of it are scored on this one
    range_changed: bool = False  # depth range by key, not as published

    @property
    def key(self) -> str:
        """`name/variant`, the row's key in PROTOCOLS."""
        return f"{self.name}/{self.variant}" if self.variant else self.name

    @property
    def label(self) -> str:
        """The key; with a changed range, that too."""
        return f"{self.key} ({self.depth_min:g} … {self.depth_max:g} m)" if self.range_changed else self.key

    def with_range(self, low: float, high: float) -> Protocol:
        """This protocol with another depth range: mask and clamp start at `low` and end at `high`; 0: as published."""
        if not (low or high):
            return self
        depth_min, depth_max = low or self.depth_min, high or self.depth_max
        if not depth_min < depth_max:
            raise MdtkError(f"{self.key}: EVAL.MIN_DEPTH {depth_min:g} must be below EVAL.MAX_DEPTH {depth_max:g}")
        clamp = (low or self.clamp[0], high or self.clamp[1])
        return replace(self, depth_min=depth_min, depth_max=depth_max, clamp=clamp, range_changed=True)

    def cut(self, depth_gt: np.ndarray, name: str) -> np.ndarray:
        """The part of a whole ground truth (H, W) that is scored, before the crop: its window, then its frame."""
        depth_gt = self.window.cut(depth_gt, name) if self.window else depth_gt
        return self.frame.cut(depth_gt, name) if self.frame else depth_gt

    def valid(self, depth_gt: np.ndarray) -> np.ndarray:
        """The pixels that count (H, W) bool: in range and in the crop."""
        mask = (depth_gt > self.depth_min) & (depth_gt < self.depth_max)
        if self.crop:
            inside = np.zeros_like(mask)
            inside[self.crop.slices(*depth_gt.shape)] = True
            mask &= inside
        return mask

    def describe(self) -> dict[str, str]:
        """What the protocol does, step → sentence, in the order of the steps."""
        low, high = self.clamp
        ends = [f"below {low:g} m to {low:g} m"] if low is not None else []
        ends += [f"above {high:g} m to {high:g} m"] if high is not None else []
        bounds = f"{self.depth_min:g} m < depth"
        bounds += "" if math.isinf(self.depth_max) else f" < {self.depth_max:g} m"
        inverse = "then inverted to depth" if self.resized == "disparity" else "inverted to depth before it"
        return {
            "protocol": f"{self.label}: {self.title}",
            "data": f"{self.dataset}, list {self.split}, ground truth {self.ground_truth or 'of the data set'}",
            "ground_truth_frame": f"{self.frame.box.describe()} of {self.frame.full[1]}x{self.frame.full[0]}"
            if self.frame
            else self.window.describe() + "; predictions of the whole image are cut like the ground truth"
            if self.window
            else "the whole ground truth",
            "prediction": f"predicted disparity is resized to the ground truth's size, {inverse}"
            if self.resized == "disparity"
            else f"predicted {self.resized} is resized to the ground truth's size ({inverse})",
            "interpolation": INTERPOLATIONS[self.interpolation],
            "valid_pixels": f"{bounds}" + (", within the crop" if self.crop else ", no crop"),
            "crop": self.crop.describe() if self.crop else "none",
            "median": MEDIANS[self.median],
            "alignment": self.alignment or "as the model was trained",
            "clamp": f"after alignment, predictions {' and '.join(ends)}" if ends else "none",
            "metrics": ", ".join(self.metrics) + "; per image, then the mean over images",
            "ratio_spread": f"std(ratio / median ratio), ddof {self.ratio_ddof}",
        }


PROTOCOLS: Registry[Protocol] = Registry("protocol")


def register_protocol(row: Protocol) -> Protocol:
    """Puts a row under its key; the first row of a benchmark also answers to the benchmark's bare name."""
    if row.name not in PROTOCOLS:
        PROTOCOLS.register(row.name)(row)
    PROTOCOLS.register(row.key)(row)
    return row


def benchmarks() -> tuple[str, ...]:
    """The names of the benchmarks, each once, in the order in which their first rows were registered."""
    return tuple(dict.fromkeys(row.name for row in PROTOCOLS.values()))


def variants() -> tuple[str, ...]:
    """The names of all variants, sorted."""
    return tuple(sorted({row.variant for row in PROTOCOLS.values() if row.variant}))


def get_protocol(name: str, variant: str = "", asker: str = "EVAL.PROTOCOLS") -> Protocol:
    """The row `name`, or `name/variant` where there is such a row.

    An unknown name or variant is an error that begins with `asker`, the key or option that named it, and lists all.
    """
    row = PROTOCOLS.find(name, asker)
    if variant and variant not in variants():
        raise MdtkError(f"unknown protocol variant {variant}; there are {', '.join(variants())}")
    return PROTOCOLS.get(f"{name}/{variant}", row)


@dataclass(frozen=True)
class Submission:
    """A benchmark without public ground truth: depth PNGs that its server takes, value = metres × `png_scale`."""

    protocol: Protocol  # its list of images; nothing is scored under it
    height: int  # pixels that a prediction is resized to
    width: int
    max_depth: float  # metres
    factor: float  # depth = factor / scaled disparity, for models of every training, as the published export does
    png_scale: float = 256.0


# Of Eigen et al. 2014, as Marigold uses it
EIGEN_CROP = Box((0.3324324, 0.91351351), (0.0359477, 0.96405229), "fraction")
KB_WINDOW = Window(352, 1216)
# Of Garg et al. 2016, as Eigen's split uses it
GARG = Box((0.40810811, 0.99189189), (0.03594771, 0.96405229), "fraction")
NYU_FRAME = Frame((480, 640), Box((44, 471), (40, 601)))
MAKE3D_FRAME = Frame((55, 305), Box((17, 38), (0, None)))
CITYSCAPES_FRAME = Frame((1024, 2048), Box((0, 768), (0, None)))
CITYSCAPES_CROP = Box((256, None), (192, 1856))

_EIGEN = Protocol(
    name="kitti_eigen",
    variant="monodepth2",
    title="KITTI, Eigen's test list (697 images as published), projected laser points, Garg's crop",
    dataset="kitti_raw",
    split="eigen/test",
    ground_truth="velodyne",
    depth_min=1e-3,
    depth_max=80.0,
    resized="disparity",
    interpolation="bilinear",
    median="numpy",
    clamp=(1e-3, 80.0),
    crop=GARG,
)
_BDEDEPTH: dict[str, Any] = {
    "variant": "bdedepth",
    "interpolation": "bilinear_aligned",
    "median": "torch",
    "ratio_ddof": 1,
}
_PACKNET: dict[str, Any] = {"interpolation": "bilinear_aligned", "median": "torch", "resized": "depth"}
_PACKNET |= {"depth_min": 0.0, "clamp": (0.0, 80.0)}
_IMPROVED = replace(
    _EIGEN,
    name="kitti_eigen_benchmark",
    title="KITTI, Eigen's test images with improved ground truth (652; Uhrig et al. 2017), no crop",
    split="eigen_benchmark/test",
    ground_truth="improved",
    depth_min=0.0,
    depth_max=math.inf,
    crop=None,
    wider_split="eigen/test",
)
_NYU = Protocol(
    name="nyuv2",
    variant="structdepth",
    title="NYU Depth v2, labelled test images (654)",
    dataset="nyuv2",
    split="nyuv2/test",
    ground_truth="",
    depth_min=0.0,
    depth_max=math.inf,
    resized="disparity",
    interpolation="nearest",
    median="numpy",
    clamp=(0.1, 10.0),
    metrics=("abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "a1", "a2", "a3"),
    frame=NYU_FRAME,
)
_NYU_BDEDEPTH: dict[str, Any] = {"depth_max": 10.0, "resized": "depth", "clamp": (None, 10.0), "metrics": SEVEN}
_NYU_BDEDEPTH |= {"variant": "bdedepth", "median": "torch", "ratio_ddof": 1}
_SUPERVISED = replace(
    _IMPROVED,
    variant="supervised",
    title="KITTI, improved ground truth (652), as supervised models print it: KB crop 352x1216 with Garg's crop on it",
    depth_min=1e-3,
    depth_max=80.0,
    resized="depth",
    crop=GARG,
    window=KB_WINDOW,
    alignment="none",
)
_KITTI_MARIGOLD = replace(
    _SUPERVISED,
    name="kitti",
    variant="marigold",
    title="KITTI, improved ground truth (652), as Marigold prints it: KB crop 352x1216 with Eigen's crop on it",
    depth_min=1e-5,
    clamp=(1e-5, 80.0),
    crop=EIGEN_CROP,
    alignment="marigold",
)
_NYU_SUPERVISED = replace(
    _NYU,
    variant="supervised",
    title="NYU Depth v2, labelled test images (654), as supervised models print it: rows 45 to 471, columns 41 to 601",
    depth_min=1e-3,
    depth_max=10.0,
    resized="depth",
    interpolation="bilinear",
    clamp=(1e-3, 10.0),
    crop=Box((1, 427), (1, 561)),  # within the frame, which starts at row 44 and column 40
    alignment="none",
)
_MAKE3D = Protocol(
    name="make3d",
    variant="monodepth2",
    title="Make3D, test images (134), the middle rows of the laser grid, up to 70 m",
    dataset="make3d",
    split="make3d/test",
    ground_truth="",
    depth_min=0.0,
    depth_max=70.0,
    resized="depth",
    interpolation="nearest_cv2",
    median="numpy",
    clamp=(None, 70.0),
    metrics=("abs_rel", "sq_rel", "rmse", "rmse_log10"),
    frame=MAKE3D_FRAME,
)
_CITYSCAPES = replace(
    _EIGEN,
    name="cityscapes",
    variant="manydepth",
    title="Cityscapes, test images (1525), stereo disparity as ground truth, the car's bonnet cut off",
    dataset="cityscapes",
    split="cityscapes/test",
    ground_truth="",
    frame=CITYSCAPES_FRAME,
    crop=CITYSCAPES_CROP,
)
_SEQUENCE = Protocol(
    name="sequence",
    variant="",
    title="your own frames with depth; set EVAL.MIN_DEPTH and EVAL.MAX_DEPTH to the sensor's range",
    dataset="sequence",
    split="val",
    ground_truth="",
    depth_min=1e-3,
    depth_max=80.0,
    resized="disparity",
    interpolation="bilinear",
    median="numpy",
    clamp=(1e-3, 80.0),
)


def _zero_shot(
    name: str, variant: str, title: str, split: str, low: float, high: float, alignment: str = "", dataset: str = ""
) -> Protocol:
    """A row over a set that models are not trained on: depth resized bilinearly, no crop, one range of metres."""
    ends = {"depth_min": low, "depth_max": high, "clamp": (low, None if math.isinf(high) else high)}
    fixed: dict[str, Any] = {"ground_truth": "", "crop": None, "resized": "depth", "alignment": alignment, **ends}
    return replace(_EIGEN, name=name, variant=variant, title=title, dataset=dataset or name, split=split, **fixed)


_ZERO_SHOT = (
    _zero_shot("ddad", "slowtv", "DDAD, front camera, up to 250 m", "ddad/val", 1e-3, 250.0),
    _zero_shot("ddad", "sc_depth", "DDAD, front camera, 0.1 to 200 m", "ddad/val", 0.1, 200.0),
    _zero_shot("diode", "marigold", "DIODE, validation (771)", "diode/val", 0.6, 350.0, "marigold"),
    _zero_shot("diode_indoor", "marigold", "DIODE, indoor (325)", "diode/val_indoor", 0.6, 350.0, "marigold", "diode"),
    _zero_shot(
        *("diode_outdoor", "marigold", "DIODE, outdoor (446)", "diode/val_outdoor", 0.6, 350.0, "marigold", "diode")
    ),
    _zero_shot("diode", "slowtv", "DIODE, validation, up to 150 m", "diode/val", 1e-3, 150.0, "slowtv"),
    _zero_shot("eth3d", "marigold", "ETH3D, photographs with depth", "eth3d/train", 1e-5, math.inf, "marigold"),
    _zero_shot("sintel", "slowtv", "Sintel, final frames (1064), 100 m", "sintel/train", 1e-3, 100.0, "slowtv"),
    _zero_shot(
        "sintel",
        "video_depth_anything",
        "Sintel, final training frames, up to 70 m, one scale and shift for a scene",
        "sintel/train",
        1e-3,
        70.0,
        "video_depth_anything",
    ),
    _zero_shot("scannet", "marigold", "ScanNet, frames with depth, up to 10 m", "scannet/val", 1e-3, 10.0, "marigold"),
    _zero_shot(
        "scannet",
        "video_depth_anything",
        "ScanNet, up to 10 m, one scale and shift for a scene",
        "scannet/val",
        1e-3,
        10.0,
        "video_depth_anything",
    ),
    _zero_shot("tum_rgbd", "slowtv", "TUM RGB-D, frames with depth, 10 m", "tum_rgbd/all", 1e-3, 10.0, "slowtv"),
)
for _row in (  # of each benchmark the default row first
    _EIGEN,
    replace(_EIGEN, **_BDEDEPTH),
    replace(_EIGEN, variant="packnet", **_PACKNET),
    replace(_EIGEN, variant="sc_depth", resized="depth", depth_min=0.1, clamp=(0.1, 80.0)),
    _IMPROVED,
    replace(_IMPROVED, **_BDEDEPTH),
    _SUPERVISED,
    _KITTI_MARIGOLD,
    _NYU,
    replace(_NYU, **_NYU_BDEDEPTH),
    _NYU_SUPERVISED,
    _MAKE3D,
    replace(_MAKE3D, **(_BDEDEPTH | {"interpolation": "nearest"})),
    _CITYSCAPES,
    replace(_CITYSCAPES, **_BDEDEPTH),
    _SEQUENCE,
    *_ZERO_SHOT,
):
    register_protocol(_row)
KITTI_BENCHMARK = Submission(
    replace(
        _EIGEN,
        name="kitti_benchmark",
        variant="",
        title="KITTI depth benchmark, test images (500) whose ground truth only the server has",
        split="benchmark/test",
        ground_truth="",
        crop=None,
    ),
    height=352,
    width=1216,
    max_depth=80.0,
    factor=5.4,
)
