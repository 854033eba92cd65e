"""One picture through a loaded model: resized as published, predicted, brought back to its own size."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from yacs.config import CfgNode

from mdtk.datasets.image_files import resize
from mdtk.inference.predict import predict_batch


class DisparityModel(Protocol):
    """What `mdtk.models.load_model` gives, as far as prediction needs it."""

    cfg: CfgNode
    checksum: str

    @property
    def height(self) -> int:
        """Height of the network's input in pixels."""
        ...

    @property
    def width(self) -> int:
        """Width of the network's input in pixels."""
        ...

    def disparity(self, images_b3hw: Tensor) -> Tensor:
        """Images (B, 3, height, width) in 0 … 1 → scaled disparity, 1 / depth, (B, 1, height, width)."""
        ...


class Predictor:
    """Scaled disparity (1 / depth, in the model's own unit) of single RGB pictures of any size."""

    def __init__(self, model: DisparityModel, device: torch.device | str = "cpu", post_process: bool = False) -> None:
        """`post_process`: average with the prediction of the mirrored picture."""
        self.model = model
        self.device = torch.device(device)
        self.post_process = post_process

    def pixels(self, image: Image.Image) -> Tensor:
        """What the network will see of a picture, (3, height, width) uint8."""
        return torch.from_numpy(resize(image, (self.model.width, self.model.height)))

    @torch.no_grad()
    def at_network_size(self, pixels_3hw: Tensor) -> np.ndarray:
        """Scaled disparity (height, width) float32 of `pixels`, at the network's size."""
        batch = pixels_3hw[None].to(self.device).float() / 255
        return predict_batch(self.model.disparity, batch, self.post_process)[0]

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Scaled disparity (H, W) float32 at the picture's own size, enlarged bilinearly as published."""
        return enlarge(self.at_network_size(self.pixels(image)), image.size)


def enlarge(disparity: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) → (H, W) of `size` = (W, H), bilinearly, corners not aligned."""
    return cv2.resize(np.ascontiguousarray(disparity), size, interpolation=cv2.INTER_LINEAR)
