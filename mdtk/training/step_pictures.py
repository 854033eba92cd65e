"""What a training step looked at, as pictures for TensorBoard and the other trackers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mdtk import viz

WIDTH, BAR = 320, 22  # pixels of a picture's width, which is that of TensorBoard's cards, and rows of the colour bar


def render(pictures: dict[str, Tensor], count: int) -> dict[str, np.ndarray]:
    """Title → picture (H, W, 3) uint8 RGB: one for each of the first `count` samples of `Losses.pictures`.

    What a sample has stands one below the other, each under its name, so that it can be read in a narrow column. All
    samples share the colours of disparity, which a bar explains.
    """
    sigmoids = pictures["sigmoid"][:count, 0].float().cpu().numpy()
    lo, hi = viz.disparity_range(sigmoids)
    bar = viz.colour_bar(WIDTH, BAR, f"far {lo:.3g}", f"{hi:.3g} near")
    sheets = {}
    for place, sigmoid in enumerate(sigmoids):
        shown = {"target": _bytes(pictures["target"][place]), "disparity": viz.colour_disparity(sigmoid, lo, hi)}
        for number, source in enumerate(pictures["warped"][place], start=1):
            shown[f"source {number}, warped"] = _bytes(source)
        if "automask" in pictures:
            shown["automask (white counts)"] = _bytes(pictures["automask"][place][None].expand(3, -1, -1))
        parts = {name: viz.caption(viz.resize_picture(picture, WIDTH), name) for name, picture in shown.items()}
        parts["disparity"] = np.concatenate([parts["disparity"], bar])
        sheets[f"training step/sample {place + 1}"] = np.concatenate(list(parts.values()))
    return sheets


def _bytes(image_3hw: Tensor) -> np.ndarray:
    return (image_3hw.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
