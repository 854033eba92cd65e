"""A checkpoint opened for prediction."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from yacs.config import CfgNode

from mdtk.config import config_from_text, depth_range
from mdtk.core.errors import MdtkError
from mdtk.core.weights import load_parts, load_shapes, read_weights
from mdtk.datasets.catalogue import trained_set
from mdtk.datasets.prepare.contamination import TrainList, unpack
from mdtk.geometry.depth import scaled_disparity
from mdtk.models.system import DepthSystem, build_model


@dataclass
class LoadedModel:
    """A checkpoint opened for prediction."""

    system: DepthSystem
    cfg: CfgNode
    checksum: str  # sha256 of the file
    path: Path
    device: torch.device
    train_lists: tuple[TrainList, ...] = ()  # what it was trained on, where the checkpoint or the data here says so

    @property
    def height(self) -> int:
        return self.cfg.DATA.HEIGHT

    @property
    def width(self) -> int:
        return self.cfg.DATA.WIDTH

    @property
    def input_offsets(self) -> tuple[int, ...]:
        """The frames, as offsets from the one whose depth is predicted, that are stacked in the network's input."""
        return self.system.input_offsets

    @torch.inference_mode()
    def disparity(self, images_bchw: Tensor, dataset: str = "") -> Tensor:
        """Images (B, 3·F, height, width) in 0..1 → 1 / depth, (B, 1, height, width) float32.

        `dataset`: its name, for a model trained on several with depth ranges of their own. Raises `MdtkError` for
        images of whole numbers (0..255), which the network would answer with nonsense, and for another size.
        """
        self._check_images(images_bchw)
        return full_disparity(self.system, images_bchw.to(self.device), self.cfg, dataset)

    def _check_images(self, images_bchw: Tensor) -> None:
        wanted = (3 * len(self.input_offsets), self.height, self.width)
        if not images_bchw.is_floating_point():
            raise MdtkError(f"images are {images_bchw.dtype}; give floating-point values in 0 … 1, pixels / 255")
        if images_bchw.ndim != 4 or tuple(images_bchw.shape[1:]) != wanted:
            raise MdtkError(
                f"images have the shape {tuple(images_bchw.shape)}; {self.path} takes (B, {wanted[0]}, {wanted[1]}, "
                f"{wanted[2]}): resize them"
            )


def full_disparity(system: DepthSystem, images_bchw: Tensor, cfg: CfgNode, dataset: str = "") -> Tensor:
    """1 / depth, in the unit of the depth range, at the finest scale."""
    sigmoid = system.sigmoids(system.features(images_bchw))[0]
    return scaled_disparity(sigmoid, *depth_range(trained_set(cfg, dataset), cfg))


def load_model(path: str | Path, device: torch.device | str = "cpu") -> LoadedModel:
    """Opens a native or converted checkpoint, rebuilt from the cfg that it carries, in eval mode on `device`."""
    path = Path(path)
    content = read_weights(path)
    cfg = config_from_text(content["cfg"], str(path))
    fresh = cfg.clone()
    fresh.defrost()
    fresh.MODEL.PRETRAINED = False  # the checkpoint has the weights; nothing is downloaded
    with torch.device("meta"):  # shapes alone: a stranger's configuration may name a network of any size
        load_shapes(_build(fresh, path), content["model"], str(path))
    system = _build(fresh, path)
    load_parts(system, content["model"], [], str(path))
    device = torch.device(device)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    meta = content.get("meta")
    stored = meta.get("train_lists", []) if isinstance(meta, dict) else []
    lists = tuple(unpack(one) for one in stored) if isinstance(stored, list) else ()
    return LoadedModel(system.to(device).eval(), cfg, digest, path, device, lists)


def _build(cfg: CfgNode, path: Path) -> DepthSystem:
    """The networks of a checkpoint; PLUGINS that only the checkpoint names are told to the user, never imported."""
    try:
        return build_model(cfg)
    except MdtkError as error:
        if not (absent := [name for name in cfg.PLUGINS if name not in sys.modules]):
            raise
        names = ", ".join(absent)
        raise MdtkError(
            f"{path} was trained with PLUGINS [{names}], which your command does not name ({error}); if you trust that "
            f'code, add PLUGINS "[{names}]" to the command, or import it in Python'
        ) from error
