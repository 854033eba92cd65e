"""Translates this project's parameter names into the published ones, with one function for each network.

The published decoders keep their modules in one list, in the order of construction; here modules are named by row. All
formats use Monodepth2's names once their own spelling (Paddle's batch norm, MXNet's gamma) is undone.
"""

from __future__ import annotations

from collections.abc import Sequence

from mdtk.models.decoders import GridDecoder

SKIP_ROWS = 5  # rows 4 to 0 of the published skip decoder
GRID_ROWS = 6  # rows 0 to 5 of the published grid decoder


def encoder_name(native: str, context_prefix: str = "") -> str:
    """The published name of an encoder's parameter.

    The backbone is `encoder.*`. The context stem is `conv1`, `bn1` beside a ResNet; beside an HRNet, where
    `context_prefix` is given, it is `context_conv`, `context_bn`.
    """
    if native.startswith("context."):
        layer, leaf = native.split(".")[1:]
        return f"context_{layer}.{leaf}" if context_prefix else f"{layer}1.{leaf}"
    return f"encoder.{native.removeprefix('backbone.')}"


def skip_decoder_name(native: str, scales: Sequence[int]) -> str:
    """The published name of a skip decoder's parameter.

    Modules 0 to 9 are the two blocks of rows 4 to 0; then comes one head per scale, in the order of `scales`.
    """
    kind, row, _, leaf = native.split(".")
    if kind == "heads":
        return f"decoder.{2 * SKIP_ROWS + list(scales).index(int(row))}.conv.{leaf}"
    number = 2 * (SKIP_ROWS - 1 - int(row)) + (kind == "merge")
    return f"decoder.{number}.conv.conv.{leaf}"


def grid_decoder_name(native: str, num_scales: int) -> str:
    """The published name of a grid decoder's parameter, whose module is numbered as in `grid_modules`."""
    kind, place, rest = native.split(".", 2)
    return f"decoder.{grid_modules(num_scales).index(f'{kind}.{place}')}.{rest}"


def grid_modules(num_scales: int) -> list[str]:
    """The modules of a published grid decoder in order, by this project's names: 34 with one scale, 37 with four."""
    order = []
    for row in range(GRID_ROWS):
        for column in range(GridDecoder.COLUMNS):
            order.append(f"lateral.{row}_{column}")
            if row < GRID_ROWS - 1:
                order.append(f"upward.{row}_{column}")
        if row < num_scales:
            order.append(f"heads.{row}")
    return order


def pose_decoder_name(native: str) -> str:
    """The published name of a pose decoder's parameter: `net.0` squeezes, `net.1` to `net.3` are the convolutions."""
    if native.startswith("squeeze."):
        return native.replace("squeeze", "net.0", 1)
    _, number, leaf = native.split(".")
    return f"net.{int(number) + 1}.{leaf}"


def pose_cnn_name(native: str) -> str:
    """The published name of a PoseCNN's parameter: `net.0` to `net.6` are the strided layers, `pose_conv` the head."""
    if native.startswith("head."):
        return native.replace("head", "pose_conv", 1)
    return native.replace("convs", "net", 1)
