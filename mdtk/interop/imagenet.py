"""ImageNet weights of a backbone alone, as the Paddle ports (`.h5`, `.pdparams`) and torchvision (`.pth`) give them.

They become a partial native file to start a training from (MODEL.WEIGHTS), with MODEL.WEIGHTS_PARTS
`[depth.encoder.backbone, pose.encoder.backbone]`, or `[depth.encoder, pose.encoder]` with MODEL.CONTEXT_STEM, whose
weights are a copy of the stem's (BDEdepth).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from mdtk.config import default_config
from mdtk.engine.weights import read_torch
from mdtk.errors import MdtkError
from mdtk.files import require_file
from mdtk.interop import infer
from mdtk.interop.paddle import read_pdparams, torch_names
from mdtk.interop.transfer import COUNTER, Array, ConvertedCheckpoint, Transfer, tensors_and_settings
from mdtk.models.encoders import build_encoder

HEAD = ("fc.", "classifier.", "incre_modules.", "downsamp_modules.", "final_layer.")
POSE_FRAMES = 2


def read_h5(path: Path) -> dict[str, np.ndarray]:
    """The numeric datasets of an HDF5 file by name. Links out of the file and other objects are refused."""
    require_file(path, "checkpoint", "give an existing file")
    try:
        with h5py.File(path, "r") as file:
            return {name: _read_dataset(file, name, path) for name in file}
    except OSError as error:
        raise MdtkError(f"{path}: not readable as HDF5 ({error}); fetch it again") from error


def _read_dataset(file: h5py.File, name: str, path: Path) -> np.ndarray:
    link = file.get(name, getlink=True)
    item = file[name] if isinstance(link, h5py.HardLink) else None
    # External links, external storage and virtual datasets would read other files of this machine.
    if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual or item.dtype.kind not in "fiu":
        raise MdtkError(f"{path}: refused, {name} is not a plain array of numbers; do not trust it")
    return np.asarray(item[()])  # a scalar dataset reads as a number


def convert_imagenet(path: Path) -> ConvertedCheckpoint:
    """Reads the weights of a ResNet or HRNet classifier; the classification head is dropped, and listed."""
    if path.suffix == ".h5":
        arrays: Mapping[str, Array] = read_h5(path)
    elif path.suffix == ".pdparams":
        arrays, values = read_pdparams(path)
        if values:
            raise MdtkError(f"{path}: unexpected values that are not arrays: {', '.join(list(values)[:30])}")
        arrays = torch_names(arrays)
    else:
        arrays, _ = tensors_and_settings(read_torch(path), str(path), ())
    cfg = default_config()
    cfg.MODEL.ENCODER = cfg.MODEL.POSE_ENCODER = infer.backbone_name(arrays, "", str(path))
    with torch.device("meta"):
        encoder = build_encoder(cfg.MODEL.ENCODER)
    transfer = Transfer(str(path), has_counters=any(name.endswith(COUNTER) for name in arrays))
    transfer.add("depth.encoder", encoder, arrays, _without_prefix, file=path.name, droppable=HEAD)
    state = transfer.finish(f"{cfg.MODEL.ENCODER} classifier")
    state |= _pose_copy(state) | _context_copy(state)
    meta = {"source": path.name, "source_format": "imagenet", "partial": True}
    notes = [
        "the backbone alone: start a training from it with MODEL.WEIGHTS and MODEL.WEIGHTS_PARTS "
        "[depth.encoder.backbone, pose.encoder.backbone] ([depth.encoder, pose.encoder] with MODEL.CONTEXT_STEM)"
    ]
    return ConvertedCheckpoint(state, cfg, meta, transfer.dropped, notes)


def _without_prefix(native: str) -> str:
    return native.removeprefix("backbone.")


def _pose_copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone for a pair of frames: the first convolution's weights repeated and halved (Monodepth2)."""
    copies = {name.replace("depth.", "pose.", 1): tensor.clone() for name, tensor in state.items()}
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
