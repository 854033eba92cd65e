"""This project's parameter names → the published ones, one function a network.

The published decoders keep their modules in one list, numbered in the order of construction; here they are found by
row. All formats use Monodepth2's names once their own spelling (Paddle's batch-norm, MXNet's gamma) is undone.
"""

from __future__ import annotations

from collections.abc import Sequence

from mdtk.models.decoders import GridDecoder

SKIP_ROWS = 5  # rows 4 to 0 of the published skip decoder
GRID_ROWS = 6  # rows 0 to 5 of the published grid decoder


def encoder_name(native: str, context_prefix: str = "") -> str:
    """The backbone is `encoder.*`; the context stem beside it is `conv1`, `bn1` (ResNet) or has the prefix
    `context_` and no number (HRNet)."""
    if native.startswith("context."):
        layer, leaf = native.split(".")[1:]
        return f"context_{layer}.{leaf}" if context_prefix else f"{layer}1.{leaf}"
    return f"encoder.{native.removeprefix('backbone.')}"


def skip_decoder_name(native: str, scales: Sequence[int]) -> str:
    """Modules 0 to 9 are the two blocks of rows 4 to 0, then one head a scale, in the order of `scales`."""
    kind, row, _, leaf = native.split(".")
    if kind == "heads":
        return f"decoder.{2 * SKIP_ROWS + list(scales).index(int(row))}.conv.{leaf}"
    number = 2 * (SKIP_ROWS - 1 - int(row)) + (kind == "merge")
    return f"decoder.{number}.conv.conv.{leaf}"


def grid_decoder_name(native: str, num_scales: int) -> str:
    """`lateral.row_column.n.leaf`, `upward.row_column.n.leaf`, `heads.row.conv.leaf` by number of construction."""
    kind, place, rest = native.split(".", 2)
    return f"decoder.{grid_modules(num_scales).index(f'{kind}.{place}')}.{rest}"


def grid_modules(num_scales: int) -> list[str]:
    """Our names of the published grid decoder's modules in their order: 34 with one scale, 37 with four."""
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
    """`net.0` squeezes, `net.1` to `net.3` are the convolutions."""
    if native.startswith("squeeze."):
        return native.replace("squeeze", "net.0", 1)
    _, number, leaf = native.split(".")
    return f"net.{int(number) + 1}.{leaf}"


def pose_cnn_name(native: str) -> str:
    """`net.0` to `net.6` are the strided layers, `pose_conv` the head."""
    if native.startswith("head."):
        return native.replace("head", "pose_conv", 1)
    return native.replace("convs", "net", 1)
