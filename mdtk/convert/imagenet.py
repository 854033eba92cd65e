"""Converts ImageNet weights of a backbone, from the Paddle ports (`.h5`, `.pdparams`) or torchvision (`.pth`).

The result is a partial native file from which a training starts (MODEL.WEIGHTS), with MODEL.WEIGHTS_PARTS
`[depth.encoder.backbone, pose.encoder.backbone]`, or `[depth.encoder, pose.encoder]` with MODEL.CONTEXT_STEM, whose
weights are a copy of the stem's (BDEdepth). A ResNet is used for both encoders. The HRNet recipes have a ResNet-18 as
pose encoder, so for an HRNet the file holds a pose encoder only if a second classifier is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from yacs.config import CfgNode

from mdtk.config import default_config
from mdtk.convert import infer
from mdtk.convert.paddle import read_pdparams, torch_names
from mdtk.convert.transfer import COUNTER, Array, ConvertedCheckpoint, Transfer, tensors_and_settings
from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.weights import read_torch
from mdtk.datasets.hdf5_files import open_hdf5, stored_dataset
from mdtk.models.encoders import build_encoder, is_hrnet

HEAD = ("fc.", "classifier.", "incre_modules.", "downsamp_modules.", "final_layer.")
POSE_FRAMES = 2
LARGEST = 1 << 30  # bytes of a backbone's parameters; an HRNet-W64 has 0.5 GB


def read_h5(path: Path) -> dict[str, np.ndarray]:
    """The numeric datasets of an HDF5 file by name. Raises `MdtkError` for other objects and links out of the file."""
    require_file(path, "checkpoint", "give an existing file")
    with open_hdf5(path, "fetch it again", "HDF5 checkpoint") as file:
        datasets = {name: stored_dataset(file, name, path) for name in file}
        total = sum(item.nbytes for item in datasets.values())
        if total > LARGEST:
            raise MdtkError(
                f"{path}: refused, its arrays claim {total} bytes; ImageNet weights have less; fetch it again"
            )
        return {name: np.asarray(item[()]) for name, item in datasets.items()}  # a scalar dataset reads as a number


def convert_imagenet(path: Path, pose_path: Path | None = None) -> ConvertedCheckpoint:
    """Converts the weights of a ResNet or HRNet classifier; the classification head is dropped and listed.

    `pose_path` is a second classifier for the pose encoder; without it a ResNet is copied, and an HRNet is not. Raises
    `MdtkError` for another network or an incomplete file.
    """
    cfg = default_config()
    cfg.MODEL.ENCODER, backbone, dropped = read_backbone(path)
    state = {f"depth.encoder.{name}": tensor for name, tensor in backbone.items()}
    state |= _context_copy(state)
    meta: dict[str, Any] = {"source": path.name, "source_format": "imagenet", "partial": True}
    has_pose = True
    if pose_path is not None:
        cfg.MODEL.POSE_ENCODER, backbone, pose_dropped = read_backbone(pose_path)
        dropped, meta["pose_source"] = [*dropped, *pose_dropped], pose_path.name
    elif is_hrnet(cfg.MODEL.ENCODER):
        has_pose = False
    else:
        cfg.MODEL.POSE_ENCODER = cfg.MODEL.ENCODER
    if has_pose:
        state |= _pose_copy(backbone)
    return ConvertedCheckpoint(state, cfg, meta, dropped, _notes(cfg, has_pose))


def read_backbone(path: Path) -> tuple[str, dict[str, Tensor], list[str]]:
    """The name of the backbone in a classifier's file, its parameters as `backbone.…`, and the dropped names."""
    if path.suffix == ".h5":
        arrays: Mapping[str, Array] = read_h5(path)
    elif path.suffix == ".pdparams":
        arrays, values = read_pdparams(path)
        if values:
            raise MdtkError(f"{path}: unexpected values that are not arrays: {', '.join(list(values)[:30])}")
        arrays = torch_names(arrays)
    else:
        arrays, _ = tensors_and_settings(read_torch(path), str(path), ())
    name = infer.backbone_name(arrays, "", str(path))
    with torch.device("meta"):
        backbone = build_encoder(name).get_submodule("backbone")
    transfer = Transfer(str(path), has_counters=any(name.endswith(COUNTER) for name in arrays))
    transfer.add("backbone", backbone, arrays, str, file=path.name, droppable=HEAD)
    return name, transfer.finish(f"{name} classifier"), transfer.dropped


def _notes(cfg: CfgNode, has_pose: bool) -> list[str]:
    """Notes on how to start a training from the file, and where to get weights for a pose encoder that is not in it."""
    encoders = ["depth.encoder", *(["pose.encoder"] if has_pose else [])]
    chosen = f"MODEL.ENCODER {cfg.MODEL.ENCODER}"
    chosen += f" and MODEL.POSE_ENCODER {cfg.MODEL.POSE_ENCODER}" if has_pose else ""
    notes = [
        f"encoder weights alone: start a training with {chosen} from it with MODEL.WEIGHTS and MODEL.WEIGHTS_PARTS "
        f"[{', '.join(f'{encoder}.backbone' for encoder in encoders)}] ([{', '.join(encoders)}] with "
        "MODEL.CONTEXT_STEM)"
    ]
    if not has_pose:
        notes.append(
            "no pose encoder is in it: convert again with --pose_input and the file of a ResNet-18 classifier, or "
            "train with MODEL.PRETRAINED true, which has timm fetch the pose encoder's weights"
        )
    return notes


def _pose_copy(backbone: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone as a pose encoder of frame pairs: the first convolution is repeated and halved (Monodepth2)."""
    copies = {f"pose.encoder.{name}": tensor.clone() for name, tensor in backbone.items()}
    first = "pose.encoder.backbone.conv1.weight"
    copies[first] = copies[first].repeat(1, POSE_FRAMES, 1, 1) / POSE_FRAMES
    return copies


def _context_copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = "depth.encoder.backbone."
    return {
        name.replace(f"{start}{layer}1", f"depth.encoder.context.{layer}"): tensor.clone()
        for name, tensor in state.items()
        for layer in ("conv", "bn")
        if name.startswith(f"{start}{layer}1.")
    }
