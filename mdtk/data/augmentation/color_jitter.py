"""Colour jitter: brightness, contrast, saturation and hue in a random order, seen by the networks alone.

The operations are those of torchvision's `ColorJitter` on float images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mdtk.core.structures import Parameters
from mdtk.data.augmentation import AUGMENTATIONS, Augmentation

GREY = (0.2989, 0.587, 0.114)  # ITU-R 601 luma, as torchvision rounds it


@AUGMENTATIONS.register("jitter")
@dataclass(frozen=True)
class ColorJitter(Augmentation):
    """Factors in 1 ± brightness, contrast, saturation and a shift in ± hue (turns), with `probability`.

    per_frame: factors and order are drawn for each frame and each further view's input (BDEdepth), not once a sample.
    """

    probability: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.1
    per_frame: bool = False
    on_host: ClassVar[tuple[str, ...]] = ("order",)  # it says which items take which operation: nothing is waited for

    def draw(self, generator: np.random.Generator, looks: int) -> dict[str, np.ndarray]:
        rows = looks if self.per_frame else 1
        on = np.array(generator.random() < self.probability)
        spread = np.array([self.brightness, self.contrast, self.saturation, self.hue])
        factors = generator.uniform(-spread, spread, size=(rows, 4)) + np.array([1, 1, 1, 0])
        order = generator.permuted(np.tile(np.arange(4), (rows, 1)), axis=1)
        return {"on": on, "factors": factors.astype(np.float32), "order": order}

    def recolour(self, images_bn3hw: Tensor, parameters: Parameters, first: int) -> Tensor:
        count = images_bn3hw.shape[1]
        rows = slice(first, first + count) if self.per_frame else slice(0, 1)
        factors, order = parameters["factors"][:, rows], parameters["order"][:, rows]
        jittered = color_jitter(images_bn3hw, factors, order)
        return torch.where(parameters["on"].view(-1, 1, 1, 1, 1), jittered, images_bn3hw)

    def one_look(self) -> bool:
        return not self.per_frame


def color_jitter(images_bn3hw: Tensor, factors_br4: Tensor, order_br4: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue, each sample (or frame) with its own factors and order.

    With one row (R = 1) all N frames share it, else there is one for each (R = N). Factors: three, and the hue's shift
    in turns. The order lies on the host.
    """
    shared = factors_br4.shape[1] == 1
    images = images_bn3hw if shared else images_bn3hw.flatten(0, 1)[:, None]
    factors, order = factors_br4.flatten(0, 1), order_br4.flatten(0, 1)
    out = images.clone()
    for step in range(4):
        for operation, function in enumerate(OPERATIONS):
            items = torch.nonzero(order[:, step] == operation)[:, 0].to(images.device, non_blocking=True)
            if len(items):
                out[items] = function(out[items], factors[items, operation].view(-1, 1, 1, 1, 1))
    return out.view(images_bn3hw.shape)


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.split(1, -3)
    return GREY[0] * red + GREY[1] * green + GREY[2] * blue


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """`factor` × the image. Here and below images are (…, 3, H, W) in 0..1, and factors broadcast against them."""
    return (images * factor).clamp(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """`factor` × the image + (1 - factor) × its mean grey."""
    mean = _grey(images).mean((-3, -2, -1), keepdim=True)
    return (factor * images + (1 - factor) * mean).clamp(0, 1)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """`factor` × the image + (1 - factor) × its grey."""
    return (factor * images + (1 - factor) * _grey(images)).clamp(0, 1)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Rotates the hue by `shift` turns, value and saturation kept."""
    value = images.amax(-3, keepdim=True)
    chroma = value - images.amin(-3, keepdim=True)
    safe = torch.where(chroma > 0, chroma, 1)
    red, green, blue = ((value - channel) / safe for channel in images.split(1, -3))
    is_red, is_green = images[..., :1, :, :] == value, images[..., 1:2, :, :] == value
    sextant = torch.where(is_red, blue - green, torch.where(is_green, 2 + red - blue, 4 + green - red))
    sextant = sextant + 6 * shift
    channels = []
    for offset in (5.0, 3.0, 1.0):  # red, green, blue of the hue, value and chroma
        k = torch.remainder(sextant + offset, 6.0)
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.cat(channels, -3)


OPERATIONS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
