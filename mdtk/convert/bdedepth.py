"""Converts checkpoints of BDEdepth (and monodepth2-ddp): one file with the state dict of each network.

The file does not state its backbone or its number of scales; both are inferred from the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mdtk.convert.assemble import PARTS, SIZES, Published, assemble, read_options
from mdtk.convert.transfer import ConvertedCheckpoint, tensors_and_settings
from mdtk.core.errors import MdtkError
from mdtk.core.weights import read_torch

TRAINING_STATE = ("epoch", "step_in_total", "batch_idx", "optimizer", "lr_scheduler")


def convert_bdedepth(path: Path) -> ConvertedCheckpoint:
    """Converts `ckpt.pth` or `model{epoch}.pth`; the state of the training is dropped and listed.

    Raises `MdtkError` for a file with other content.
    """
    content = read_torch(path)
    unknown = [name for name in content if name not in (*PARTS, *SIZES, *TRAINING_STATE)]
    if unknown:
        raise MdtkError(f"{path} is not a BDEdepth checkpoint; unexpected: {', '.join(map(str, unknown[:30]))}")
    parts = {}
    for part in PARTS:
        if part in content:
            if not isinstance(content[part], Mapping):
                raise MdtkError(f"{path}: {part} is a {type(content[part]).__name__}, not a state dict")
            parts[part], _ = tensors_and_settings(content[part], f"{path} ({part})", ())
    _, stored = tensors_and_settings({k: v for k, v in content.items() if k in SIZES}, str(path), SIZES)
    dropped = [name for name in TRAINING_STATE if name in content]
    settings = {**read_options(path.parent), **stored}
    return assemble(Published(str(path), "bdedepth", parts, settings, dropped=dropped))
