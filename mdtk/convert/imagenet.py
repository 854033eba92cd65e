"""Converts ImageNet weights of a backbone: of the Paddle ports (`.h5`, `.pdparams`), torchvision, any timm model
(`.pth`, `.bin`, `.safetensors`), or the first PyTorch port of EfficientNet.

The result is a partial native file from which a training starts (MODEL.WEIGHTS), with MODEL.WEIGHTS_PARTS
`[depth.encoder.backbone, pose.encoder.backbone]`, or `[depth.encoder, pose.encoder]` with MODEL.CONTEXT_STEM, whose
weights are a copy of the stem's (BDEdepth). A backbone is used for both encoders. The HRNet recipes have a ResNet-18 as
pose encoder, so for an HRNet the file holds a pose encoder only if a second classifier is given.

ResNets and HRNets are told by their parameters. Of another backbone the name is given, or stated by the `config.json`
of timm's hub or by the file's own name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from yacs.config import CfgNode

from mdtk.config import default_config
from mdtk.convert import infer, timm_files
from mdtk.convert.paddle import read_pdparams, torch_names
from mdtk.convert.transfer import COUNTER, Array, ConvertedCheckpoint, Transfer, tensors_and_settings
from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.core.safetensors_files import read_safetensors
from mdtk.core.weights import read_torch
from mdtk.datasets.hdf5_files import open_hdf5, stored_dataset
from mdtk.models.encoders import ALIASES, build_encoder, is_hrnet

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


def convert_imagenet(
    path: Path, pose_path: Path | None = None, encoder: str = "", pose_encoder: str = ""
) -> ConvertedCheckpoint:
    """Converts the weights of a classifier; the parameters that give no feature are dropped and listed.

    `pose_path` is a second classifier for the pose encoder; without it the first is copied, except an HRNet. `encoder`
    and `pose_encoder` are the timm names of what the two files hold; empty: found out. Raises `MdtkError` for a network
    that is not known or an incomplete file.
    """
    cfg = default_config()
    cfg.MODEL.ENCODER, backbone, dropped = read_backbone(path, encoder)
    state = {f"depth.encoder.{name}": tensor for name, tensor in backbone.items()}
    state |= _context_copy(state)
    meta: dict[str, Any] = {"source": path.name, "source_format": "imagenet", "partial": True}
    has_pose = True
    if pose_path is not None:
        cfg.MODEL.POSE_ENCODER, backbone, pose_dropped = read_backbone(pose_path, pose_encoder)
        dropped, meta["pose_source"] = [*dropped, *pose_dropped], pose_path.name
    elif is_hrnet(cfg.MODEL.ENCODER):
        has_pose = False
    else:
        cfg.MODEL.POSE_ENCODER = cfg.MODEL.ENCODER
    if has_pose:
        state |= _pose_copy(backbone, cfg.MODEL.POSE_ENCODER)
    return ConvertedCheckpoint(state, cfg, meta, dropped, _notes(cfg, has_pose, _has_context(state)))


def read_backbone(path: Path, name: str = "") -> tuple[str, dict[str, Tensor], list[str]]:
    """The name of the backbone in a classifier's file, its parameters as `backbone.…`, and the dropped names.

    `name` is its timm name; empty: found out, or an `MdtkError` that asks for it.
    """
    arrays = _read_arrays(path)
    name = ALIASES.get(name, name) or backbone_name(path, arrays)
    classic = name in (*infer.RESNETS.values(), *infer.HRNETS.values())
    rename: Callable[[str], str] = str
    droppable: tuple[str, ...] = HEAD
    if not classic:  # timm knows their files; what is left of a whole classifier is no feature
        arrays = timm_files.classifier(name, arrays, str(path))
        rename, droppable = timm_files.feature_names(arrays), ("",)
    with torch.device("meta"):
        backbone = build_encoder(name).get_submodule("backbone")
    transfer = Transfer(str(path), has_counters=any(name.endswith(COUNTER) for name in arrays))
    transfer.add("backbone", backbone, arrays, rename, file=path.name, droppable=droppable)
    return name, transfer.finish(f"{name} classifier"), transfer.dropped


def _read_arrays(path: Path) -> Mapping[str, Array]:
    if path.suffix == ".h5":
        return read_h5(path)
    if path.suffix == ".pdparams":
        arrays, values = read_pdparams(path)
        if values:
            raise MdtkError(f"{path}: unexpected values that are not arrays: {', '.join(list(values)[:30])}")
        return torch_names(arrays)
    if path.suffix == ".safetensors":
        return read_safetensors(path)["model"]
    return tensors_and_settings(timm_files.unwrapped(read_torch(path)), str(path), ())[0]


def backbone_name(path: Path, arrays: Mapping[str, Any]) -> str:
    """The timm name of the backbone whose classifier a file holds, or an `MdtkError` that asks for it."""
    if name := timm_files.stated_name(path):
        return name
    if "conv1.weight" in arrays:
        return infer.backbone_name(arrays, "", str(path))
    if name := timm_files.name_in_file_name(path, arrays):
        return name
    raise MdtkError(f"{path}: which backbone it holds is not to be seen; {timm_files.GIVE_NAME}")


def _has_context(state: Mapping[str, Tensor]) -> bool:
    return "depth.encoder.context.conv.weight" in state


def _notes(cfg: CfgNode, has_pose: bool, has_context: bool) -> list[str]:
    """Notes on how to start a training from the file, and where to get weights for a pose encoder that is not in it."""
    encoders = ["depth.encoder", *(["pose.encoder"] if has_pose else [])]
    chosen = f"MODEL.ENCODER {cfg.MODEL.ENCODER}"
    chosen += f" and MODEL.POSE_ENCODER {cfg.MODEL.POSE_ENCODER}" if has_pose else ""
    with_stem = f" ([{', '.join(encoders)}] with MODEL.CONTEXT_STEM)" if has_context else ""
    notes = [
        f"encoder weights alone: start a training with {chosen} from it with MODEL.WEIGHTS and MODEL.WEIGHTS_PARTS "
        f"[{', '.join(f'{encoder}.backbone' for encoder in encoders)}]{with_stem}"
    ]
    if not has_pose:
        notes.append(
            "no pose encoder is in it: convert again with --pose_input and the file of a ResNet-18 classifier, or "
            "train with MODEL.PRETRAINED true, which has timm fetch the pose encoder's weights"
        )
    return notes


def _pose_copy(backbone: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The backbone as a pose encoder of frame pairs: the first convolution is repeated and halved (Monodepth2)."""
    with torch.device("meta"):
        wanted = build_encoder(name, key="MODEL.POSE_ENCODER", in_frames=POSE_FRAMES, last_only=True).state_dict()
    copies = {key: tensor.clone() for key, tensor in backbone.items()}
    for key, tensor in copies.items():
        if tensor.shape != wanted[key].shape:
            copies[key] = tensor.repeat(1, POSE_FRAMES, *(1 for _ in tensor.shape[2:])) / POSE_FRAMES
    return {f"pose.encoder.{key}": tensor for key, tensor in copies.items()}


def _context_copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """BDEdepth's context stem, for the backbones that begin with one plain convolution and its norm."""
    start = "depth.encoder.backbone."
    if f"{start}conv1.weight" not in state:
        return {}
    return {
        name.replace(f"{start}{layer}1", f"depth.encoder.context.{layer}"): tensor.clone()
        for name, tensor in state.items()
        for layer in ("conv", "bn")
        if name.startswith(f"{start}{layer}1.")
    }
