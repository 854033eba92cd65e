"""Evaluation protocols as frozen rows of data. A published quirk is a field of its row; nothing branches on a name.

Rows are named `benchmark/variant`; `benchmark` alone is the row that the numbers in papers use. docs/protocols.md holds
the table of all differences, generated from here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.evaluation.scoring.metrics import SEVEN

INTERPOLATIONS = {
    "bilinear": "bilinearly as OpenCV does (pixel centres at half-integers, corners not aligned)",
    "bilinear_aligned": "bilinearly with the corner pixels' centres aligned",
    "nearest": "to the nearest, floor(i · in/out) in float32 as torch does",
    "nearest_cv2": "to the nearest, floor(i · in/out) in float64 as OpenCV does",
}
MEDIANS = {"numpy": "the mean of the two middle values", "torch": "the lower of the two middle values"}


@dataclass(frozen=True)
class Box:
    """A rectangle of rows and columns, last ones excluded; `unit` "pixels" or "fraction" of the height and width."""

    rows: tuple[float, float | None]
    columns: tuple[float, float | None]
    unit: str = "pixels"

    def slices(self, height: int, width: int) -> tuple[slice, slice]:
        """The rectangle in an image of (height, width); fractions are truncated, as published."""
        if self.unit == "fraction":
            ends = [(int(low * n), int(high * n)) for (low, high), n in ((self.rows, height), (self.columns, width))]
        else:
            ends = [
                (int(low), n if high is None else int(high))
                for (low, high), n in ((self.rows, height), (self.columns, width))
            ]
        return slice(*ends[0]), slice(*ends[1])

    @property
    def words(self) -> str:
        """For example "rows 256 to the end, columns 192 to 1856"."""

        def span(axis: str, low: float, high: float | None) -> str:
            if self.unit == "fraction":
                return f"{axis} int({low}·n) to int({high}·n)"
            return f"{axis} {low} to {'the end' if high is None else high}"

        return f"{span('rows', *self.rows)}, {span('columns', *self.columns)} (last excluded)"


@dataclass(frozen=True)
class Frame:
    """Which part of a full-size ground truth the network's image shows; one that is cut already is taken as it is."""

    full: tuple[int, int]
    box: Box

    def cut(self, depth: np.ndarray, name: str) -> np.ndarray:
        """`depth` (H, W) within the frame; another size is an error that names the image and both sizes."""
        rows, columns = self.box.slices(*self.full)
        if depth.shape == self.full:
            return depth[rows, columns]
        inner = (rows.stop - rows.start, columns.stop - columns.start)
        if depth.shape != inner:
            raise MdtkError(
                f"{name}: ground truth of {depth.shape[1]}x{depth.shape[0]} pixels; this protocol takes "
                f"{self.full[1]}x{self.full[0]} or its part {inner[1]}x{inner[0]}"
            )
        return depth


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
        """This protocol with another depth cap: mask and clamp end at `high`, and start at `low` where it is not 0."""
        if high <= 0:
            return self
        depth_min = low or self.depth_min
        if not depth_min < high:
            raise MdtkError(f"EVAL.MIN_DEPTH {depth_min} must be below EVAL.MAX_DEPTH {high}")
        clamp = (low or self.clamp[0], high)
        return replace(self, depth_min=depth_min, depth_max=high, clamp=clamp, range_changed=True)

    def valid(self, depth_gt: np.ndarray) -> np.ndarray:
        """The pixels that count (H, W) bool: in range and in the crop."""
        mask = (depth_gt > self.depth_min) & (depth_gt < self.depth_max)
        if self.crop:
            inside = np.zeros_like(mask)
            inside[self.crop.slices(*depth_gt.shape)] = True
            mask &= inside
        return mask

    def words(self) -> dict[str, str]:
        """The whole protocol in words, one sentence a step, in the order of the steps."""
        low, high = self.clamp
        ends = [f"below {low:g} m to {low:g} m"] if low is not None else []
        ends += [f"above {high:g} m to {high:g} m"] if high is not None else []
        bounds = f"{self.depth_min:g} m < depth"
        bounds += "" if math.isinf(self.depth_max) else f" < {self.depth_max:g} m"
        inverse = "then inverted to depth" if self.resized == "disparity" else "inverted to depth before it"
        return {
            "protocol": f"{self.label}: {self.title}",
            "data": f"{self.dataset}, list {self.split}, ground truth {self.ground_truth or 'of the data set'}",
            "ground_truth_frame": f"{self.frame.box.words} of {self.frame.full[1]}x{self.frame.full[0]}"
            if self.frame
            else "the whole ground truth",
            "prediction": f"predicted disparity is resized to the ground truth's size, {inverse}"
            if self.resized == "disparity"
            else f"predicted {self.resized} is resized to the ground truth's size ({inverse})",
            "interpolation": INTERPOLATIONS[self.interpolation],
            "valid_pixels": f"{bounds}" + (", within the crop" if self.crop else ", no crop"),
            "crop": self.crop.words if self.crop else "none",
            "median": MEDIANS[self.median],
            "clamp": f"after alignment, predictions {' and '.join(ends)}" if ends else "none",
            "metrics": ", ".join(self.metrics) + "; per image, then the mean over images",
            "ratio_spread": f"std(ratio / median ratio), ddof {self.ratio_ddof}",
        }


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
_BDEDEPTH = {"variant": "bdedepth", "interpolation": "bilinear_aligned", "median": "torch", "ratio_ddof": 1}
_PACKNET = {"interpolation": "bilinear_aligned", "median": "torch", "resized": "depth"}
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
_NYU_BDEDEPTH = {"depth_max": 10.0, "resized": "depth", "clamp": (None, 10.0), "metrics": SEVEN}
_NYU_BDEDEPTH |= {"variant": "bdedepth", "median": "torch", "ratio_ddof": 1}
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
# Every row; of each benchmark the default one first
ROWS = (
    _EIGEN,
    replace(_EIGEN, **_BDEDEPTH),
    replace(_EIGEN, variant="packnet", **_PACKNET),
    replace(_EIGEN, variant="sc_depth", resized="depth", depth_min=0.1, clamp=(0.1, 80.0)),
    _IMPROVED,
    replace(_IMPROVED, **_BDEDEPTH),
    _NYU,
    replace(_NYU, **_NYU_BDEDEPTH),
    _MAKE3D,
    replace(_MAKE3D, **(_BDEDEPTH | {"interpolation": "nearest"})),
    _CITYSCAPES,
    replace(_CITYSCAPES, **_BDEDEPTH),
    _SEQUENCE,
)


def _table() -> dict[str, Protocol]:
    table: dict[str, Protocol] = {}
    for row in ROWS:
        table.setdefault(row.name, row)  # the first of a benchmark is its default
        table[row.key] = row
    return table


PROTOCOLS: dict[str, Protocol] = _table()
BENCHMARKS = tuple(dict.fromkeys(row.name for row in PROTOCOLS.values()))


def get_protocol(name: str, variant: str = "") -> Protocol:
    """The row `name`, or `name/variant` where there is such a row; an unknown name is an error that lists all."""
    if name not in PROTOCOLS:
        raise MdtkError(f"unknown protocol {name}; there are {', '.join(PROTOCOLS)}")
    if variant and variant not in {row.variant for row in PROTOCOLS.values()}:
        known = sorted({row.variant for row in PROTOCOLS.values() if row.variant})
        raise MdtkError(f"unknown protocol variant {variant}; there are {', '.join(known)}")
    return PROTOCOLS.get(f"{name}/{variant}", PROTOCOLS[name])
