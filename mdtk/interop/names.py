"""Published parameter names → this project's, one function a network. A name that is not known gives None."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mdtk.models.decoders import GridDecoder

SKIP_ROWS = 5  # rows 4 to 0 of the published skip decoder
GRID_ROWS = 6  # rows 0 to 5 of the published grid decoder


def encoder_name(published: str) -> str | None:
    """`encoder.*` is the backbone; `conv1`/`bn1` or `context_conv`/`context_bn` beside it is the context stem."""
    if match := re.fullmatch(r"(?:context_)?(conv|bn)1?\.(\w+)", published):
        return f"context.{match[1]}.{match[2]}"
    return f"backbone.{published.removeprefix('encoder.')}" if published.startswith("encoder.") else None


def skip_decoder_name(published: str, scales: Sequence[int]) -> str | None:
    """Modules 0 to 9 are the two blocks of rows 4 to 0, then one head a scale, in the order of `scales`."""
    match = re.fullmatch(r"decoder\.(\d+)\.conv\.(conv\.)?(weight|bias)", published)
    if not match:
        return None
    number, is_block, leaf = int(match[1]), match[2] is not None, match[3]
    if number < 2 * SKIP_ROWS:
        block = "merge" if number % 2 else "reduce"
        return f"{block}.{SKIP_ROWS - 1 - number // 2}.conv.{leaf}" if is_block else None
    head = number - 2 * SKIP_ROWS
    return f"heads.{scales[head]}.conv.{leaf}" if not is_block and head < len(scales) else None


def grid_decoder_name(published: str, num_scales: int) -> str | None:
    """Modules in the order of construction: a row's lateral and upward blocks, then its head."""
    match = re.fullmatch(r"decoder\.(\d+)\.(.+)", published)
    order = grid_modules(num_scales)
    if not match or int(match[1]) >= len(order):
        return None
    return f"{order[int(match[1])]}.{match[2]}"


def grid_modules(num_scales: int) -> list[str]:
    """The native module names of the published grid decoder's list: 34 with one scale, 37 with four."""
    order = []
    for row in range(GRID_ROWS):
        for column in range(GridDecoder.COLUMNS):
            order.append(f"lateral.{row}_{column}")
            if row < GRID_ROWS - 1:
                order.append(f"upward.{row}_{column}")
        if row < num_scales:
            order.append(f"heads.{row}")
    return order


def pose_decoder_name(published: str) -> str | None:
    """`net.0` squeezes, `net.1` to `net.3` are the convolutions."""
    match = re.fullmatch(r"net\.([0-3])\.(weight|bias)", published)
    if not match:
        return None
    number = int(match[1])
    return f"squeeze.{match[2]}" if number == 0 else f"convs.{number - 1}.{match[2]}"


def pose_cnn_name(published: str) -> str | None:
    """`net.0` to `net.6` are the strided layers, `pose_conv` the head."""
    if match := re.fullmatch(r"net\.([0-6])\.(weight|bias)", published):
        return f"convs.{match[1]}.{match[2]}"
    match = re.fullmatch(r"pose_conv\.(weight|bias)", published)
    return f"head.{match[1]}" if match else None
