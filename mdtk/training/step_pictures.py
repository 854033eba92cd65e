"""What a training step looked at, as one picture for TensorBoard and the other trackers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mdtk import viz

WIDTH, BAR = 320, 22  # pixels of a column, and rows of the colour bar


def render(pictures: dict[str, Tensor], count: int) -> dict[str, np.ndarray]:
    """Title → picture (H, W, 3) uint8 RGB: a row for each of the first `count` samples of `Losses.pictures`.

    The columns carry their names; all samples share the colours of disparity, which a bar below explains.
    """
    sigmoids = pictures["sigmoid"][:count, 0].float().cpu().numpy()
    lo, hi = viz.disparity_range(sigmoids)
    warped = pictures["warped"][:count]
    names = ["target", "disparity", *(f"source {place + 1}, warped" for place in range(warped.shape[1]))]
    if "automask" in pictures:
        names.append("automask (white counts)")
    rows = []
    for place, sigmoid in enumerate(sigmoids):
        row = [_bytes(pictures["target"][place]), viz.colour_disparity(sigmoid, lo, hi)]
        row += [_bytes(source) for source in warped[place]]
        if "automask" in pictures:
            row.append(_bytes(pictures["automask"][place][None].expand(3, -1, -1)))
        rows.append(row)
    sheet = viz.contact_sheet(rows, names, width=min(WIDTH, sigmoids.shape[-1]))
    ends = f"disparity: far, sigmoid {lo:.3g}", f"near, {hi:.3g}"
    bar = viz.colour_bar(min(sheet.shape[1], 3 * WIDTH), BAR, *ends)
    paper = np.full((BAR, sheet.shape[1] - bar.shape[1], 3), 255, np.uint8)
    return {"training step": np.concatenate([sheet, np.concatenate([bar, paper], 1)])}


def _bytes(image_3hw: Tensor) -> np.ndarray:
    return (image_3hw.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
