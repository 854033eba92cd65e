"""Which values of the configuration cannot work, each with one sentence that names the key and what it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from yacs.config import CfgNode

from mdtk.config.defaults import CHOICES, LEAST
from mdtk.core.errors import MdtkError


def check_values(cfg: CfgNode, flat: Mapping[str, Any], sets: Sequence[CfgNode]) -> None:
    """Refuses values that cannot work. `flat`: every (dotted) key's value; `sets`: one DATA node a training set."""
    for key, choices in CHOICES.items():
        if flat[key] not in choices:
            raise MdtkError(f"{key} is {flat[key]!r}; it takes one of {', '.join(map(str, choices))}")
    for key, least in LEAST.items():
        if flat[key] < least:
            raise MdtkError(f"{key} is {flat[key]}; it must be at least {least}")
    for key in ("DATA.HEIGHT", "DATA.WIDTH"):
        if flat[key] < 32 or flat[key] % 32:
            near = max(32, round(flat[key] / 32) * 32)
            raise MdtkError(f"{key} is {flat[key]}; it must be a multiple of 32, for example {near}")
    _check_model(cfg)
    _check_solver(cfg)
    for node in sets:
        _check_data(node, cfg)
    if cfg.DATA.STEREO and len({node.BASELINE > 0 for node in sets}) > 1:
        raise MdtkError("DATA.SETS: DATA.BASELINE is 0 (metres) in some sets only; all must share one unit of depth")


def _check_model(cfg: CfgNode) -> None:
    model = cfg.MODEL
    if not model.SCALES or any(s not in (0, 1, 2, 3) for s in model.SCALES) or 0 not in model.SCALES:
        raise MdtkError(f"MODEL.SCALES is {model.SCALES}; it takes 0 and any of 1, 2, 3")
    if not 0 < model.MIN_DEPTH < model.MAX_DEPTH:
        raise MdtkError(
            f"MODEL.MIN_DEPTH {model.MIN_DEPTH} and MODEL.MAX_DEPTH {model.MAX_DEPTH} must hold 0 < least < greatest"
        )
    if not 0 < model.INIT_SIGMOID < 1:
        raise MdtkError(f"MODEL.INIT_SIGMOID is {model.INIT_SIGMOID}; it lies between 0 and 1")
    if model.PREDICTIVE_MASK and (cfg.VIEWS.LOCAL_CROP or cfg.VIEWS.SPLIT_PERMUTE):
        raise MdtkError("MODEL.PREDICTIVE_MASK knows the whole image only; set VIEWS.LOCAL_CROP, SPLIT_PERMUTE false")
    if model.PREDICTIVE_MASK and cfg.LOSS.AUTOMASK:
        raise MdtkError("MODEL.PREDICTIVE_MASK replaces the automask; set LOSS.AUTOMASK false with it")
    if cfg.LOSS.GEOMETRY_CONSISTENCY and cfg.VIEWS.LOCAL_CROP:
        raise MdtkError(
            "LOSS.GEOMETRY_CONSISTENCY compares depths of whole images, not of a magnified crop; "
            "set VIEWS.LOCAL_CROP false"
        )
    if model.LEARN_INTRINSICS and (model.POSE != "separate" or not cfg.DATA.SOURCES):
        raise MdtkError(
            "MODEL.LEARN_INTRINSICS looks at pairs of frames: it needs MODEL.POSE separate and DATA.SOURCES"
        )
    if model.WEIGHTS_PARTS and not model.WEIGHTS:
        raise MdtkError(f"MODEL.WEIGHTS_PARTS {model.WEIGHTS_PARTS} names parts of no file; set MODEL.WEIGHTS")
    _check_interval("VIEWS.CROP_RATIO", cfg.VIEWS.CROP_RATIO, 1, 10)
    _check_interval("VIEWS.PERMUTE_RATIO", cfg.VIEWS.PERMUTE_RATIO, 0, 1)


def _check_interval(key: str, values: list, least: float, greatest: float) -> None:
    if len(values) != 2 or not least <= values[0] <= values[1] <= greatest:
        raise MdtkError(f"{key} is {values}; it takes two numbers, {least} <= low <= high <= {greatest}")


def _check_solver(cfg: CfgNode) -> None:
    solver = cfg.SOLVER
    if not 0 < solver.LR < math.inf:
        raise MdtkError(f"SOLVER.LR is {solver.LR}; it must be positive")
    if len(solver.BETAS) != 2 or not all(0 <= beta < 1 for beta in solver.BETAS):
        raise MdtkError(f"SOLVER.BETAS is {solver.BETAS}; it takes two numbers in 0 … 1, for example [0.9, 0.999]")
    if not 0 <= solver.EMA < 1:
        raise MdtkError(f"SOLVER.EMA is {solver.EMA}; it takes a decay in 0 … 1, for example 0.999")


def _check_data(node: CfgNode, cfg: CfgNode) -> None:
    if (node.HEIGHT, node.WIDTH) != (cfg.DATA.HEIGHT, cfg.DATA.WIDTH):
        raise MdtkError("DATA.SETS: all sets share DATA.HEIGHT and DATA.WIDTH; set them in DATA only")
    if (node.SOURCES, node.STEREO) != (cfg.DATA.SOURCES, cfg.DATA.STEREO):
        raise MdtkError("DATA.SETS: all sets share DATA.SOURCES and DATA.STEREO; set them in DATA only")
    if not node.SOURCES and not node.STEREO:
        raise MdtkError("DATA.SOURCES is empty and DATA.STEREO is false; training needs at least one source")
    if 0 in node.SOURCES or len(set(node.SOURCES)) != len(node.SOURCES):
        raise MdtkError(f"DATA.SOURCES is {node.SOURCES}; it takes different offsets other than 0")
    if node.SOURCES and cfg.MODEL.POSE == "none":
        raise MdtkError("MODEL.POSE none has no motion for DATA.SOURCES; set DATA.SOURCES [] and DATA.STEREO true")
    values = node.DEPTH_RANGE
    if len(values) != 2 or (any(values) and not 0 < values[0] < values[1]):
        raise MdtkError(f"DATA.DEPTH_RANGE is {node.DEPTH_RANGE}; it takes least and greatest depth, or [0, 0]")
    if node.NAME == "sequence":
        sequence = node.SEQUENCE
        if len(sequence.K) not in (0, 4) or len(sequence.K_SIZE) not in (0, 2):
            raise MdtkError("DATA.SEQUENCE.K takes fx, fy, cx, cy and DATA.SEQUENCE.K_SIZE width, height, in pixels")
        if sequence.K and not sequence.K_SIZE:
            raise MdtkError(
                "DATA.SEQUENCE.K is set without DATA.SEQUENCE.K_SIZE; add the width and height K belongs to"
            )
