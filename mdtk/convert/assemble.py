"""Assembles a native checkpoint from published parts: encoder, depth, pose_encoder, pose, predictive_mask.

Every format is first brought to Monodepth2's parameter names, and then comes here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from yacs.config import CfgNode

from mdtk.config import check, default_config
from mdtk.convert import infer
from mdtk.convert import parameter_names as names
from mdtk.convert.transfer import Array, ConvertedCheckpoint, Transfer
from mdtk.core.errors import MdtkError
from mdtk.core.files import is_file
from mdtk.core.guard import read_json
from mdtk.models.decoders import DECODERS, SkipDecoder
from mdtk.models.encoders import FeaturePyramid, build_encoder
from mdtk.models.pose_network import build_pose_network

PARTS = ("encoder", "depth", "pose_encoder", "pose", "predictive_mask")
CLASSIFIER = ("encoder.fc.", "encoder.classifier.")
SIZES = ("height", "width", "use_stereo")


@dataclass
class Published:
    """The content of a published checkpoint: the parameters of each part by name, and plain settings."""

    origin: str
    format: str
    parts: Mapping[str, Mapping[str, Array]]
    settings: Mapping[str, Any] = field(default_factory=dict)  # such as height, width, use_stereo
    has_counters: bool = True  # whether the format stores batch norm's num_batches_tracked
    dropped: list[str] = field(default_factory=list)  # names that have no place in a native checkpoint


def assemble(published: Published) -> ConvertedCheckpoint:
    """Infers the networks, transfers every parameter, and makes the configuration that rebuilds the networks.

    Raises `MdtkError` for a part that is missing, or parameters that do not fit the inferred networks.
    """
    cfg = default_config()
    transfer = Transfer(published.origin, has_counters=published.has_counters)
    for part in ("encoder", "depth"):
        if part not in published.parts:
            raise MdtkError(f"{published.origin}: no {part} network in it; give the complete checkpoint")
    # Only names and shapes of the networks are needed: the meta device builds them without memory or random numbers.
    with torch.device("meta"):
        encoder = _add_depth(cfg, transfer, published)
        _add_pose(cfg, transfer, published, encoder)
        _add_mask(cfg, transfer, published, encoder)
    state = transfer.finish(f"{published.format} checkpoint with a {cfg.MODEL.ENCODER} encoder")
    notes = _apply_settings(cfg, published)
    check(cfg)
    meta = {
        "source": Path(published.origin).name,
        "source_format": published.format,
        "height": cfg.DATA.HEIGHT,
        "width": cfg.DATA.WIDTH,
        "use_stereo": published.settings.get("use_stereo"),  # None: not stored
    }
    return ConvertedCheckpoint(state, cfg, meta, [*published.dropped, *transfer.dropped], notes)


def _add_depth(cfg: CfgNode, transfer: Transfer, published: Published) -> FeaturePyramid:
    arrays, depth = published.parts["encoder"], published.parts["depth"]
    model, origin = cfg.MODEL, published.origin
    model.ENCODER = infer.backbone_name(arrays, "encoder.", f"{origin} (encoder)")
    hrnet = model.ENCODER.startswith("hrnet")
    model.CONTEXT_STEM = "context_conv.weight" in arrays or "conv1.weight" in arrays
    model.HRNET_FUSE = "bilinear" if hrnet else "nearest"
    is_grid = infer.is_grid(depth)
    model.DECODER = "grid" if is_grid else "skip"
    encoder = build_encoder(model.ENCODER, context_stem=model.CONTEXT_STEM, hrnet_fuse=model.HRNET_FUSE)
    if is_grid:
        scales = tuple(range(infer.grid_num_scales(depth, f"{origin} (depth)")))
        rename = partial(names.grid_decoder_name, num_scales=len(scales))
    else:
        scales = infer.skip_scales(depth, f"{origin} (depth)")
        rename = partial(names.skip_decoder_name, scales=scales)
    model.SCALES = sorted(scales)
    decoder = DECODERS[model.DECODER](encoder.channels, encoder.reductions, scales)
    encoder_name = partial(names.encoder_name, context_prefix="context_" if hrnet else "")
    transfer.add("depth.encoder", encoder, arrays, encoder_name, file="encoder", droppable=CLASSIFIER)
    transfer.add("depth.decoder", decoder, depth, rename, file="depth")
    return encoder


def _add_pose(cfg: CfgNode, transfer: Transfer, published: Published, depth_encoder: FeaturePyramid) -> None:
    model, origin = cfg.MODEL, published.origin
    pose, pose_encoder = published.parts.get("pose"), published.parts.get("pose_encoder")
    if pose is None:
        if pose_encoder is not None:
            raise MdtkError(f"{origin}: has a pose_encoder but no pose decoder; give the complete checkpoint")
        model.POSE = "none"
        return
    frames = _pose_kind(model, pose, pose_encoder, origin)
    model.POSE_INPUT = "pairs" if frames == 2 else "all"
    cfg.DATA.SOURCES = [-1, 1] if frames == 2 else _nearest_offsets(frames - 1)
    network = build_pose_network(
        model.POSE,
        model.POSE_INPUT,
        len(cfg.DATA.SOURCES),
        encoder=model.POSE_ENCODER,
        depth_channels=depth_encoder.channels[-1],
    )
    rename = names.pose_cnn_name if model.POSE == "posecnn" else names.pose_decoder_name
    transfer.add("pose.decoder", network.decoder, pose, rename, file="pose")
    if pose_encoder is not None:
        encoder = network.encoder if model.POSE == "separate" else None
        if encoder is None:
            raise MdtkError(f"{origin}: has a pose_encoder beside a PoseCNN, which takes none; remove one of the two")
        transfer.add(
            "pose.encoder",
            encoder,
            pose_encoder,
            names.encoder_name,
            file="pose_encoder",
            droppable=CLASSIFIER,
        )


def _pose_kind(model: CfgNode, pose: Mapping[str, Array], pose_encoder: Mapping[str, Array] | None, origin: str) -> int:
    """Sets MODEL.POSE and MODEL.POSE_ENCODER; returns the number of frames that the network sees at once."""
    if "pose_conv.weight" in pose:
        model.POSE = "posecnn"
        return infer.in_frames(pose, "net.0.weight", f"{origin} (pose)")
    if pose_encoder is not None:
        model.POSE = "separate"
        model.POSE_ENCODER = infer.backbone_name(pose_encoder, "encoder.", f"{origin} (pose_encoder)")
        return infer.in_frames(pose_encoder, "encoder.conv1.weight", f"{origin} (pose_encoder)")
    model.POSE = "shared"
    channels = infer.size_of(pose, "net.1.weight", 1, f"{origin} (pose)")
    return max(2, channels // 256)  # the features of each frame are squeezed to 256 channels


def _nearest_offsets(count: int) -> list[int]:
    """The `count` offsets nearest to 0: −1, 1, −2, 2, …"""
    return [(step // 2 + 1) * (1 if step % 2 else -1) for step in range(count)]


def _add_mask(cfg: CfgNode, transfer: Transfer, published: Published, encoder: FeaturePyramid) -> None:
    arrays = published.parts.get("predictive_mask")
    if arrays is None:
        return
    cfg.MODEL.PREDICTIVE_MASK, cfg.LOSS.AUTOMASK = True, False
    origin = f"{published.origin} (predictive_mask)"
    scales = infer.skip_scales(arrays, origin)
    if sorted(scales) != list(cfg.MODEL.SCALES):
        raise MdtkError(
            f"{published.origin}: its predictive mask has scales {sorted(scales)}, its depth {cfg.MODEL.SCALES}"
        )
    mask = SkipDecoder(encoder.channels, encoder.reductions, scales, infer.head_channels(arrays, origin))
    transfer.add("mask", mask, arrays, partial(names.skip_decoder_name, scales=scales), file="predictive_mask")


def _apply_settings(cfg: CfgNode, published: Published) -> list[str]:
    """Sets input size, stereo, depth range and sources as far as they are stored; returns notes on what is assumed."""
    found, notes = published.settings, []
    for key, name in (("HEIGHT", "height"), ("WIDTH", "width")):
        if name in found:
            cfg.DATA[key] = _whole(found[name], name, published.origin)
        else:
            notes.append(f"its {name} is not stored: {cfg.DATA[key]} assumed (DATA.{key})")
    cfg.MODEL.MIN_DEPTH = float(found.get("min_depth", cfg.MODEL.MIN_DEPTH))
    cfg.MODEL.MAX_DEPTH = float(found.get("max_depth", cfg.MODEL.MAX_DEPTH))
    if "max_depth" not in found:
        notes.append(f"its depth range is not stored: {cfg.MODEL.MIN_DEPTH} to {cfg.MODEL.MAX_DEPTH} assumed")
    if cfg.MODEL.POSE != "none" and cfg.MODEL.POSE_INPUT == "pairs" and "sources" in found:
        cfg.DATA.SOURCES = list(found["sources"])
    if "use_stereo" in found:
        cfg.DATA.STEREO = bool(found["use_stereo"])
    else:
        notes.append("whether it was trained with stereo is not stored: median scaling assumed (EVAL.ALIGNMENT)")
        cfg.EVAL.ALIGNMENT = "median"
    if published.parts.get("predictive_mask") is not None:
        _set_mask_sources(cfg, published)
    if cfg.MODEL.POSE == "none":
        if not cfg.DATA.STEREO:
            notes.append("it has no pose network: further training is possible with stereo only")
            cfg.EVAL.ALIGNMENT = "median"
        cfg.DATA.SOURCES, cfg.DATA.STEREO = [], True
    return notes


def _whole(value: float, name: str, origin: str) -> int:
    if not math.isfinite(value):
        raise MdtkError(f"{origin}: its {name} is {value}; it must be a number of pixels")
    return int(value)


def _set_mask_sources(cfg: CfgNode, published: Published) -> None:
    """Sets as many sources as the predictive mask has channels: one per source, the other camera included."""
    wanted = infer.head_channels(published.parts["predictive_mask"], published.origin)
    if "sources" not in published.settings and cfg.MODEL.POSE_INPUT == "pairs" and cfg.MODEL.POSE != "none":
        cfg.DATA.SOURCES = _nearest_offsets(wanted - cfg.DATA.STEREO)
    if wanted != len(cfg.DATA.SOURCES) + cfg.DATA.STEREO or cfg.MODEL.POSE == "none":
        raise MdtkError(
            f"{published.origin}: its predictive mask is for {wanted} sources, its other files say "
            f"{cfg.DATA.SOURCES}{' and stereo' if cfg.DATA.STEREO else ''}"
        )


def read_options(folder: Path) -> dict[str, Any]:
    """The settings in the `opt.json` of `folder` or the folder above, which the published trainers write; {} if none.

    Raises `MdtkError` for a file that is not a JSON object.
    """
    for candidate in (folder / "opt.json", folder.parent / "opt.json"):
        if not is_file(candidate):
            continue
        options = read_json(candidate, "JSON of options", "repair it or move it away")
        if not isinstance(options, dict):
            raise MdtkError(f"{candidate}: holds {type(options).__name__}, not options; repair it or move it away")
        return _settings_of(options)
    return {}


def _settings_of(options: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name in ("height", "width", "min_depth", "max_depth"):
        if isinstance(options.get(name), (int, float)) and not isinstance(options[name], bool):
            settings[name] = options[name]
    if isinstance(options.get("use_stereo"), bool):
        settings["use_stereo"] = options["use_stereo"]
    offsets = options.get("frame_ids")
    if isinstance(offsets, list):
        sources = [offset for offset in offsets if isinstance(offset, int) and offset != 0]
        if sources:
            settings["sources"] = sources
    return settings
