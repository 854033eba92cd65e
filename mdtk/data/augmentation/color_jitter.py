"""Colour jitter: brightness, contrast, saturation and hue in a random order, seen by the networks alone.

The operations are those of torchvision's `ColorJitter` on float images.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    # They say which images take which operation by which number: the host reads them, and never waits for the device.
    on_host: ClassVar[tuple[str, ...]] = ("on", "factors", "order")

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
        return color_jitter(images_bn3hw, factors, order, parameters["on"].tolist())

    def one_look(self) -> bool:
        return not self.per_frame


def color_jitter(
    images_bn3hw: Tensor, factors_br4: Tensor, order_br4: Tensor, on: Sequence[bool] | None = None
) -> Tensor:
    """Brightness, contrast, saturation and hue, each sample (or frame) with its own factors and order.

    With one row (R = 1) all N frames share it, else there is one for each (R = N). Factors: three, and the hue's shift
    in turns; factors and order lie on the host. `on`: the samples that are changed at all (default: every one); without
    any the images themselves are returned.
    """
    chosen = [item for item in range(len(images_bn3hw)) if on is None or on[item]]
    if not chosen:
        return images_bn3hw
    out = images_bn3hw.clone()
    for item in chosen:
        for row, (factors, order) in enumerate(zip(factors_br4[item].tolist(), order_br4[item].tolist(), strict=True)):
            images = out[item] if factors_br4.shape[1] == 1 else out[item, row]
            changed = images
            for operation in order:
                changed = OPERATIONS[operation](changed, factors[operation])
            images.copy_(changed)
    return out


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.split(1, -3)
    return GREY[0] * red + GREY[1] * green + GREY[2] * blue


def adjust_brightness(images: Tensor, factor: float) -> Tensor:
    """`factor` × the image. Here and below images are (…, 3, H, W) in 0..1."""
    return (images * factor).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: float) -> Tensor:
    """`factor` × the image + (1 - factor) × its mean grey."""
    mean = _grey(images).mean((-3, -2, -1), keepdim=True)
    return (factor * images).add_(mean, alpha=1 - factor).clamp_(0, 1)


def adjust_saturation(images: Tensor, factor: float) -> Tensor:
    """`factor` × the image + (1 - factor) × its grey."""
    return (factor * images).add_(_grey(images), alpha=1 - factor).clamp_(0, 1)


def adjust_hue(images: Tensor, shift: float) -> Tensor:
    """Rotates the hue by `shift` turns, value and saturation kept."""
    value = images.amax(-3, keepdim=True)
    chroma = value - images.amin(-3, keepdim=True)
    safe = torch.where(chroma > 0, chroma, 1)
    red, green, blue = ((value - channel).div_(safe) for channel in images.split(1, -3))
    is_red, is_green = images[..., :1, :, :] == value, images[..., 1:2, :, :] == value
    by_green, by_blue = (red - blue).add_(2), (green - red).add_(4)
    sextant = torch.where(is_red, blue.sub_(green), torch.where(is_green, by_green, by_blue)).add_(6 * shift)
    out = torch.empty_like(images)
    for channel, offset in enumerate((5.0, 3.0, 1.0)):  # red, green, blue of the hue, value and chroma
        k = torch.remainder(sextant + offset, 6.0)
        share = torch.minimum(k, 4 - k).clamp_(0, 1)
        torch.sub(value, share.mul_(chroma), out=out[..., channel : channel + 1, :, :])
    return out


OPERATIONS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
