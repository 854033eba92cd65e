"""Augmentation on the device, in batch: uint8 to float, horizontal flip (moves K), colour jitter.

The draws come with the samples (see `dataset`), so the result does not depend on workers, ranks or restarts.
The jitter operations are those of torchvision's `ColorJitter` on float images.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mdtk.data.batch import Batch
from mdtk.geometry.camera import flip_K

GREY = (0.2989, 0.587, 0.114)  # ITU-R 601 luma, as torchvision rounds it


@dataclass(frozen=True)
class Augmented:
    """Float images in 0..1. `clean` is for the loss, `input` and `jittered` are for the networks."""

    clean_bn3hw: Tensor
    jittered_bn3hw: Tensor  # for the pose network
    target_input_b3hw: Tensor
    K_b33: Tensor
    stereo_T_b44: Tensor
    crop_bn3hw: Tensor | None = None
    crop_input_b3hw: Tensor | None = None
    permute_input_b3hw: Tensor | None = None  # the target, jittered for the permuted view, not permuted yet


def augment(batch: Batch) -> Augmented:
    """Applies the batch's own draws; where they are all off (validation) the images only become floats."""
    flip = batch.flip_b
    clean = _flip_images(batch.frames_bn3hw, flip).float().div_(255)
    width = clean.shape[-1]
    K = torch.where(flip[:, None, None], flip_K(batch.K_b33, width), batch.K_b33)
    stereo_T = batch.stereo_T_b44.clone()
    stereo_T[:, 0, 3] *= 1 - 2 * flip.to(stereo_T.dtype)  # mirrored, the other camera stands on the other side
    crop = None if batch.crop_bn3hw is None else _flip_images(batch.crop_bn3hw, flip).float().div_(255)
    count = clean.shape[1]
    jittered = color_jitter(clean, batch.jitter_bn5, batch.order_bn4, slice(0, count))
    return Augmented(
        clean_bn3hw=clean,
        jittered_bn3hw=jittered,
        target_input_b3hw=jittered[:, 0],
        K_b33=K,
        stereo_T_b44=stereo_T,
        crop_bn3hw=crop,
        crop_input_b3hw=None if crop is None else _jitter_target(crop, batch, count),
        permute_input_b3hw=None if batch.split_b2 is None else _jitter_target(clean, batch, count + 1, jittered),
    )


def _flip_images(images: Tensor, flip_b: Tensor) -> Tensor:
    return torch.where(flip_b.view(-1, *[1] * (images.dim() - 1)), images.flip(-1), images)


def _jitter_target(images_bn3hw: Tensor, batch: Batch, row: int, shared: Tensor | None = None) -> Tensor:
    """The first image with the draws of `row`; with shared draws and the same image there is nothing to redo."""
    if batch.jitter_bn5.shape[1] == 1 and shared is not None:
        return shared[:, 0]
    return color_jitter(images_bn3hw[:, :1], batch.jitter_bn5, batch.order_bn4, slice(row, row + 1))[:, 0]


def color_jitter(images_bn3hw: Tensor, jitter_bn5: Tensor, order_bn4: Tensor, rows: slice) -> Tensor:
    """Brightness, contrast, saturation and hue, each sample (or frame) with its own factors and order.

    `jitter_bn5` is (B, 1 or rows, 5): on (0/1), three factors, hue shift in turns; with one row all frames share it.
    The order lies on the host: it says which items take which operation, so nothing waits for the device.
    """
    batch, count = images_bn3hw.shape[:2]
    shared = jitter_bn5.shape[1] == 1
    if shared:
        images, draws, order = images_bn3hw, jitter_bn5[:, 0], order_bn4[:, 0]
    else:
        images = images_bn3hw.flatten(0, 1)[:, None]
        draws, order = jitter_bn5[:, rows].flatten(0, 1), order_bn4[:, rows].flatten(0, 1)
    out = images.clone()
    for step in range(4):
        for operation, function in enumerate(OPERATIONS):
            items = torch.nonzero(order[:, step] == operation)[:, 0].to(images.device, non_blocking=True)
            if len(items):
                factor = draws[items, 1 + operation].view(-1, 1, 1, 1, 1)
                out[items] = function(out[items], factor)
    on = (draws[:, 0] > 0).view(-1, 1, 1, 1, 1)
    return torch.where(on, out, images).view(batch, count, *images.shape[2:])


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
    value, least = images.amax(-3, keepdim=True), images.amin(-3, keepdim=True)
    chroma = value - least
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
