"""Depth decoders: from a feature pyramid to sigmoid outputs at several scales.

A decoder is registered with `@DECODERS.register("name")`: a module that is made with (channels, reductions, scales),
as `SkipDecoder` is. Deriving it from `Decoder` lets MODEL.INIT_SIGMOID set its heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdtk.core.errors import MdtkError
from mdtk.core.precision import full_precision
from mdtk.core.registry import Registry

DECODERS: Registry[type[nn.Module]] = Registry("decoder")


class ReflectConv(nn.Module):
    """3×3 convolution with reflected borders; a side of one pixel, which has nothing to reflect, is replicated."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        mode = "reflect" if min(x.shape[-2:]) > 1 else "replicate"
        return self.conv(F.pad(x, (1, 1, 1, 1), mode=mode))


class Head(ReflectConv):
    """`ReflectConv` and a sigmoid, in float32 whatever the precision around: bfloat16 has 17 values near 0.5."""

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x):
            return torch.sigmoid(super().forward(x.float()))


class ConvBlock(ReflectConv):
    """`ReflectConv` and ELU."""

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(super().forward(x))


def _rows(channels: Sequence[int], reductions: Sequence[int], scales: Sequence[int]) -> tuple[dict[int, int], int]:
    """Feature index by row (row i has 1/2**i of the image size), and the deepest row; checks `scales`."""
    index_of = {reduction.bit_length() - 1: index for index, reduction in enumerate(reductions)}
    deepest = max(index_of)
    if 0 not in scales:
        # Evaluation reads scale 0, and without it the finest layers would be parameters without a gradient.
        raise MdtkError(f"MODEL.SCALES is {list(scales)}; it must include 0, the finest scale")
    if len(set(scales)) != len(scales) or not all(0 <= scale < deepest for scale in scales):
        raise MdtkError(f"MODEL.SCALES is {list(scales)}; choose distinct scales from 0 to {deepest - 1}")
    if len(channels) != len(reductions):
        raise ValueError(f"{len(channels)} channel counts for {len(reductions)} reductions")
    return index_of, deepest


class Decoder(nn.Module):
    """What the decoders here share: a `Head` a scale."""

    heads: nn.ModuleDict

    def set_first_sigmoid(self, value: float) -> None:
        """Makes the untrained heads say about `value` everywhere."""
        for head in self.heads.values():
            assert isinstance(head, ReflectConv)
            assert head.conv.bias is not None
            nn.init.constant_(head.conv.bias, math.log(value / (1 - value)))


@DECODERS.register("skip")
class SkipDecoder(Decoder):
    """Monodepth2's decoder (Godard et al., ICCV 2019, supplementary table): upsample by nearest, concatenate the skip.

    Row i works at 1/2**i of the image size with `min(16 · 2**i, 256)` channels. A row takes the encoder's feature of
    its size when there is one. With `out_channels` above one it is the predictive mask's decoder.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        scales: Sequence[int] = (0, 1, 2, 3),
        out_channels: int = 1,
    ) -> None:
        super().__init__()
        self._feature, self._deepest = _rows(channels, reductions, scales)
        self.scales = tuple(sorted(scales))
        self.reduce, self.merge, self.heads = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        below = channels[self._feature[self._deepest]]
        for row in reversed(range(self._deepest)):
            width = min(16 * 2**row, 256)
            skip = channels[self._feature[row]] if row in self._feature else 0
            self.reduce[str(row)] = ConvBlock(below, width)
            self.merge[str(row)] = ConvBlock(width + skip, width)
            if row in self.scales:
                self.heads[str(row)] = Head(width, out_channels)
            below = width

    def forward(self, features: Sequence[Tensor]) -> dict[int, Tensor]:
        """Features fine to coarse → {scale: sigmoid output (B,out_channels,H/2**scale,W/2**scale)}."""
        outputs = {}
        x = features[self._feature[self._deepest]]
        for row in reversed(range(self._deepest)):
            x = F.interpolate(self.reduce[str(row)](x), scale_factor=2.0, mode="nearest")
            if row in self._feature:
                x = torch.cat([x, features[self._feature[row]]], dim=1)
            x = self.merge[str(row)](x)
            if row in self.scales:
                outputs[row] = self.heads[str(row)](x)
        return {scale: outputs[scale] for scale in self.scales}


def _lateral(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.PReLU(),
        nn.Conv2d(in_channels, channels, 3, padding=1),
        nn.PReLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
    )


def _upward(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        nn.PReLU(),
        nn.Conv2d(in_channels, channels, 3, padding=1),
    )


@DECODERS.register("grid")
class GridDecoder(Decoder):
    """BDEdepth's decoder, a GridNet (Fourure et al., BMVC 2017) of three columns that only goes up.

    Row i works at 1/2**i of the image size with half the channels of the encoder's feature of that size (16 in row
    0). In each column a row passes through its lateral block, adds what comes up from the row below, and sends its
    sum up. A row without a feature begins with what comes up.
    """

    COLUMNS = 3

    def __init__(
        self, channels: Sequence[int], reductions: Sequence[int], scales: Sequence[int] = (0, 1, 2, 3)
    ) -> None:
        super().__init__()
        self._feature, self._deepest = _rows(channels, reductions, scales)
        self.scales = tuple(sorted(scales))
        widths = [self._width(row, channels) for row in range(self._deepest + 1)]
        self.lateral, self.upward, self.heads = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for row, width in enumerate(widths):
            for column in range(self.COLUMNS):
                if column > 0:
                    self.lateral[f"{row}_{column}"] = _lateral(width, width)
                elif row in self._feature:
                    self.lateral[f"{row}_{column}"] = _lateral(channels[self._feature[row]], width)
                if row < self._deepest:
                    self.upward[f"{row}_{column}"] = _upward(widths[row + 1], width)
            if row in self.scales:
                self.heads[str(row)] = Head(width, 1)
        self.apply(self._initialise)

    def _width(self, row: int, channels: Sequence[int]) -> int:
        if row == 0:
            return 16
        return max(channels[self._feature[row]] // 2, 1) if row in self._feature else 16 * 2**row

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, features: Sequence[Tensor]) -> dict[int, Tensor]:
        """Features fine to coarse → {scale: sigmoid output (B,1,H/2**scale,W/2**scale)}."""
        outputs = {}
        below: list[Tensor] = []  # the row below, one tensor a column
        for row in reversed(range(self._deepest + 1)):
            x = features[self._feature[row]] if row in self._feature else None
            sums: list[Tensor] = []
            for column in range(self.COLUMNS):
                x = self.lateral[f"{row}_{column}"](x) if x is not None else None
                if row < self._deepest:
                    up = self.upward[f"{row}_{column}"](below[column])
                    x = up if x is None else x + up
                assert x is not None  # the deepest row has a feature
                sums.append(x)
            if row in self.scales:
                outputs[row] = self.heads[str(row)](x)
            below = sums
        return {scale: outputs[scale] for scale in self.scales}
