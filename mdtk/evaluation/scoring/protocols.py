"""The rows of evaluation protocols. A published quirk is a field of its row; nothing branches on a name.

Rows are named `benchmark/variant`; `benchmark` alone is the row that the numbers in papers use. docs/protocols.md holds
the table of all differences, generated from here. Another package adds a row with `register_protocol(row)`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from mdtk.evaluation.scoring.metrics import SEVEN
from mdtk.evaluation.scoring.protocol import (
    INTERPOLATIONS,
    MEDIANS,
    NO_TRUTH,
    PROTOCOLS,
    Protocol,
    Submission,
    benchmarks,
    get_protocol,
    register_protocol,
    variants,
)
from mdtk.evaluation.scoring.regions import Box, Frame, Window

__all__ = [
    "INTERPOLATIONS",
    "KITTI_BENCHMARK",
    "MEDIANS",
    "NO_TRUTH",
    "PROTOCOLS",
    "SUBMISSIONS",
    "Protocol",
    "Submission",
    "benchmarks",
    "get_protocol",
    "register_protocol",
    "variants",
]

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
    images=697,
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
    images=652,
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
    images=654,
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
    images=134,
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
    images=1525,
)
_SEQUENCE = replace(
    _EIGEN,
    name="sequence",
    variant="",
    title="your own frames with depth; set EVAL.MIN_DEPTH and EVAL.MAX_DEPTH to the sensor's range",
    dataset="sequence",
    split="val",
    ground_truth="",
    crop=None,
    images=0,
)
_PHOTOMETRIC = replace(
    _SEQUENCE,
    name="photometric",
    title="your own frames without ground truth: each explained by its neighbours, through its depth and the motion",
    ground_truth=NO_TRUTH,
    metrics=(),
)


def _zero_shot(
    key: str, title: str, split: str, span: tuple[float, float], images: int = 0, **changes: Any
) -> Protocol:
    """A row `name/variant` over a set that models are not trained on: depth resized bilinearly, no crop, metres."""
    name, variant = key.split("/")
    low, high = span
    ends = {"depth_min": low, "depth_max": high, "clamp": (low, None if math.isinf(high) else high)}
    fixed: dict[str, Any] = {"ground_truth": "", "crop": None, "resized": "depth", "dataset": name, **ends, **changes}
    return replace(_EIGEN, name=name, variant=variant, title=title, split=split, images=images, **fixed)


_MARIGOLD: dict[str, Any] = {"alignment": "marigold"}
# These two resize disparity, as their code does
_SLOWTV: dict[str, Any] = {"alignment": "slowtv", "resized": "disparity"}
_VIDEO: dict[str, Any] = {"alignment": "video_depth_anything", "resized": "disparity"}
_DIODE: dict[str, Any] = {"dataset": "diode", **_MARIGOLD}
_ZERO_SHOT = (  # lists that are not stated in full are what the data root holds; their published number is
    _zero_shot("ddad/slowtv", "DDAD, front camera, up to 250 m", "ddad/val", (1e-3, 250.0), 1000, **_SLOWTV),
    _zero_shot("ddad/sc_depth", "DDAD, front camera, 0.1 to 200 m", "ddad/val", (0.1, 200.0)),
    _zero_shot("diode/marigold", "DIODE, validation (771)", "diode/val", (0.6, 350.0), 771, **_MARIGOLD),
    _zero_shot("diode_indoor/marigold", "DIODE, indoor (325)", "diode/val_indoor", (0.6, 350.0), 325, **_DIODE),
    _zero_shot("diode_outdoor/marigold", "DIODE, outdoor (446)", "diode/val_outdoor", (0.6, 350.0), 446, **_DIODE),
    _zero_shot("diode/slowtv", "DIODE, validation, up to 150 m", "diode/val", (1e-3, 150.0), 771, **_SLOWTV),
    _zero_shot("eth3d/marigold", "ETH3D, photographs with depth", "eth3d/train", (1e-5, math.inf), **_MARIGOLD),
    _zero_shot("sintel/slowtv", "Sintel, final frames (1064), 100 m", "sintel/train", (1e-3, 100.0), 1064, **_SLOWTV),
    _zero_shot(
        "sintel/video_depth_anything",
        "Sintel, final training frames, up to 70 m, one scale and shift for a scene",
        "sintel/train",
        (1e-3, 70.0),
        **_VIDEO,
    ),
    _zero_shot(
        "scannet/marigold", "ScanNet, a sample of 800, up to 10 m", "scannet/val", (1e-3, 10.0), 800, **_MARIGOLD
    ),
    _zero_shot(
        "scannet/video_depth_anything",
        "ScanNet, up to 10 m, one scale and shift for a scene, the border of 8 rows and 11 columns cut",
        "scannet/video",
        (1e-3, 10.0),
        crop=Box((8, -8), (11, -11)),
        **_VIDEO,
    ),
    _zero_shot("tum_rgbd/slowtv", "TUM RGB-D, 2500 frames, 100 m", "tum_rgbd/test", (1e-3, 100.0), 2500, **_SLOWTV),
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
    _PHOTOMETRIC,
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
        images=500,
    ),
    height=352,
    width=1216,
    max_depth=80.0,
    factor=5.4,
)


def _syns(variant: str, split: str, images: int) -> Submission:
    title = f"SYNS-Patches, {split} images ({images}) whose ground truth only the challenge's server has"
    name = "syns_patches" + (f"_{variant}" if variant else "")
    fields: dict[str, Any] = {"name": name, "variant": "", "title": title, "dataset": "syns_patches", "split": split}
    return Submission(replace(_EIGEN, **fields, ground_truth="", crop=None, images=images), form="npz")


SUBMISSIONS = {row.protocol.name: row for row in (KITTI_BENCHMARK, _syns("", "test", 775), _syns("val", "val", 400))}
