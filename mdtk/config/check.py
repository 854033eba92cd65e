"""Refuses values of the configuration that contradict one another; the range of a single key is in `sections`."""

from __future__ import annotations

from collections.abc import Sequence

from yacs.config import CfgNode

from mdtk.core.errors import MdtkError


def check_values(cfg: CfgNode, sets: Sequence[CfgNode]) -> None:
    """Raises `MdtkError` for values that contradict one another. `sets` holds the DATA node of each training set."""
    for key, size in (("DATA.HEIGHT", cfg.DATA.HEIGHT), ("DATA.WIDTH", cfg.DATA.WIDTH)):
        if size % 32:
            near = max(32, round(size / 32) * 32)
            raise MdtkError(f"{key} is {size}; it must be a multiple of 32, for example {near}")
    if cfg.EVAL.MAX_DEPTH and not cfg.EVAL.MIN_DEPTH < cfg.EVAL.MAX_DEPTH:
        raise MdtkError(f"EVAL.MIN_DEPTH {cfg.EVAL.MIN_DEPTH:g} must be below EVAL.MAX_DEPTH {cfg.EVAL.MAX_DEPTH:g}")
    _check_model(cfg)
    _check_views(cfg)
    _check_others(cfg)
    for node in sets:
        _check_data(node, cfg)
    if cfg.DATA.STEREO and len({node.BASELINE > 0 for node in sets}) > 1:
        raise MdtkError("DATA.SETS: DATA.BASELINE is 0 (metres) in some sets only; all must share one unit of depth")


def _check_model(cfg: CfgNode) -> None:
    model = cfg.MODEL
    if 0 not in model.SCALES or len(set(model.SCALES)) != len(model.SCALES):
        raise MdtkError(f"MODEL.SCALES is {model.SCALES}; it takes 0 and any of 1, 2, 3")
    if not 0 < model.MIN_DEPTH < model.MAX_DEPTH:
        raise MdtkError(
            f"MODEL.MIN_DEPTH {model.MIN_DEPTH} and MODEL.MAX_DEPTH {model.MAX_DEPTH} must hold 0 < minimum < maximum"
        )
    offsets = model.INPUT_OFFSETS
    if 0 not in offsets or len(set(offsets)) != len(offsets) or not set(offsets) <= {0, *cfg.DATA.SOURCES}:
        raise MdtkError(f"MODEL.INPUT_OFFSETS is {offsets}; it takes 0 and any of DATA.SOURCES {cfg.DATA.SOURCES}")
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


def _check_views(cfg: CfgNode) -> None:
    pairs = {"VIEWS.CROP_RATIO": cfg.VIEWS.CROP_RATIO, "VIEWS.PERMUTE_RATIO": cfg.VIEWS.PERMUTE_RATIO}
    for key, (low, high) in pairs.items():
        if low > high:
            raise MdtkError(f"{key} is {[low, high]}; it takes two numbers, the smaller one first")


def _check_others(cfg: CfgNode) -> None:
    lists = {"AUGMENT.OTHERS": cfg.AUGMENT.OTHERS, "VIEWS.OTHERS": cfg.VIEWS.OTHERS, "LOSS.OTHERS": cfg.LOSS.OTHERS}
    for key, mappings in lists.items():
        for mapping in mappings:
            if not isinstance(mapping.get("NAME"), str):
                raise MdtkError(f"{key} holds {mapping}; each mapping needs a NAME, like {{NAME: mine, WEIGHT: 0.1}}")


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
        raise MdtkError(
            "MODEL.POSE none has no motion for DATA.SOURCES; set DATA.SOURCES [] and DATA.STEREO true, or MODEL.POSE "
            "given where the data have poses"
        )
    if cfg.MODEL.POSE == "given" and not node.SOURCES:
        raise MdtkError("MODEL.POSE given tells the motion to DATA.SOURCES, which is empty; set MODEL.POSE none")
    if cfg.MODEL.POSE == "given" and node.STEREO and node.BASELINE:
        raise MdtkError(
            f"DATA.BASELINE {node.BASELINE:g} is no length in metres, which the poses of MODEL.POSE given are in; set "
            "DATA.BASELINE 0, the rig's metres"
        )
    values = node.DEPTH_RANGE
    if any(values) and not 0 < values[0] < values[1]:
        raise MdtkError(f"DATA.DEPTH_RANGE is {values}; it takes minimum and maximum depth, or [0, 0]")
    if node.NAME == "sequence":
        sequence = node.SEQUENCE
        if sequence.K and not sequence.K_SIZE:
            raise MdtkError(
                "DATA.SEQUENCE.K is set without DATA.SEQUENCE.K_SIZE; add the width and height K belongs to"
            )
