"""A model in three lines, for notebooks and scripts: `mdtk.load_model("mono_640x192").predict("street.jpg")`."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from mdtk.cli.checkpoints import native_checkpoint, resized
from mdtk.core.distributed import pick_device
from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.datasets.image_files import open_rgb
from mdtk.inference.predictor import Predictor
from mdtk.inference.scale import DepthScale, depth_scale
from mdtk.models import loaded

Picture = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor


@dataclass(frozen=True, repr=False)
class DepthModel:
    """A checkpoint that predicts the depth of pictures of any size."""

    model: loaded.LoadedModel
    predictor: Predictor
    scale: DepthScale

    def __repr__(self) -> str:
        """One line: the file, the encoder, the network's input, the unit; not every layer."""
        what = f"{self.model.cfg.MODEL.ENCODER}, input {self.model.width}x{self.model.height}"
        return f"DepthModel({self.model.path}, {what}, depth {'in metres' if self.metric else 'up to a factor'})"

    @property
    def metric(self) -> bool:
        """Whether `predict` gives metres; else depth is right up to one unknown factor."""
        return self.scale.metric

    def predict(self, image: Picture) -> np.ndarray:
        """Depth (H, W) float32 at the picture's own size, in metres when `metric`.

        `image`: a path, a PIL image, an array (H, W, 3) or (H, W), or a tensor (3, H, W); RGB, uint8 in 0 … 255 or
        floating point in 0 … 1. A tensor (B, 3, H, W) gives (B, H, W). Raises `MdtkError` for anything else.
        """
        return np.asarray(self.scale.factor / self.disparity(image), np.float32)

    def disparity(self, image: Picture) -> np.ndarray:
        """1 / depth in the model's own unit, of the same shape as the result of `predict`."""
        if isinstance(image, Tensor) and image.ndim == 4:
            return np.stack([self.predictor(to_rgb(one)) for one in image])
        return self.predictor(to_rgb(image))


def load_model(
    checkpoint: str | os.PathLike[str],
    device: str = "auto",
    *,
    height: int = 0,
    width: int = 0,
    scale: str = "auto",
    post_process: bool = False,
) -> DepthModel:
    """Opens a checkpoint for `predict`.

    Args:
        checkpoint: a .pth or .safetensors of mdtk, a published checkpoint (file or folder), a name of `mdtk models` or
            hf://owner/name, which are fetched when they are not there.
        device: auto (a GPU when there is one), cpu or cuda.
        height: of the network's input in pixels, a multiple of 32; 0: as trained.
        width: likewise.
        scale: auto (metres after stereo training), none, stereo, or the metres in one unit of the model's depth.
        post_process: average with the mirrored picture's prediction.

    Raises:
        MdtkError: the checkpoint cannot be found, fetched, read or converted, or an option cannot be taken.
    """
    place = pick_device(device)
    model = resized(loaded.load_model(native_checkpoint(os.fspath(checkpoint)), place), height, width)
    if model.input_offsets != (0,):
        raise MdtkError(f"{checkpoint} takes the frames {model.input_offsets} together, and predict() gets one picture")
    return DepthModel(model, Predictor(model, place, post_process), depth_scale(model.cfg, scale))


def to_rgb(image: Picture) -> Image.Image:
    """The picture as a PIL image in RGB. Raises `MdtkError` for a shape or type that is none."""
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if isinstance(image, (str, os.PathLike)):
        return open_rgb(require_file(image, "picture", "give the file of an image"))
    if not isinstance(image, (np.ndarray, Tensor)):
        raise MdtkError(f"a picture is a path, a PIL image, an array or a tensor, not {type(image).__name__}")
    pixels = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if isinstance(image, Tensor) and pixels.ndim == 3 and pixels.shape[0] == 3:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise MdtkError(f"a picture is an array (H, W, 3) or (H, W), or a tensor (3, H, W), not {tuple(image.shape)}")
    return Image.fromarray(_to_bytes(pixels)).convert("RGB")


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise MdtkError(f"a picture is uint8 in 0 … 255 or floating point in 0 … 1, not {pixels.dtype}")
    if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
        raise MdtkError("a picture in floating point has values in 0 … 1; divide by 255, or give uint8")
    return np.ascontiguousarray((pixels * 255).round().astype(np.uint8))
