"""Reading weights safely, whole or in parts; nothing is ever dropped in silence."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mdtk.errors import MdtkError
from mdtk.files import atomic_write

FORMAT, VERSION = "mdtk", 1


def write_weights(path: str | Path, content: Mapping) -> None:
    """Writes a checkpoint (`model`, `cfg` and whatever else `content` holds) atomically, flushed to the disk."""
    with atomic_write(path) as temporary:
        torch.save({"format": FORMAT, "version": VERSION, **content}, temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())


def read_weights(path: str | Path) -> dict:
    """A native checkpoint as a dict on the CPU. Only tensors and plain values are read: no code in it can run."""
    path = Path(path)
    if not path.is_file():
        raise MdtkError(f"checkpoint not found: {path}; give the path of a .pth file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        # torch's own message goes on about loading it unsafely: not passed on.
        raise MdtkError(f"{path} cannot be read: it is damaged, or holds more than tensors and plain values") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise MdtkError(f"{path} is no mdtk checkpoint; convert it first with tools/convert_checkpoint.py")
    if content["version"] > VERSION:
        raise MdtkError(f"{path} was written by a newer mdtk (format {content['version']}); update mdtk")
    return content


def load_parts(module: nn.Module, state: Mapping[str, Tensor], parts: Sequence[str], origin: str) -> list[str]:
    """Loads `state` into `module`: all of it strictly, or only the keys below each name of `parts`.

    Missing, unexpected and mis-shaped keys are an error that lists them. Returns the keys that were loaded.
    """
    own = module.state_dict()
    wanted = [key for key in own if _below(key, parts)]
    offered = {key: value for key, value in state.items() if _below(key, parts)}
    for part in parts:
        if not any(_below(key, [part]) for key in own):
            names = sorted({key.split(".")[0] for key in own})
            raise MdtkError(f"MODEL.WEIGHTS_PARTS names {part!r}, which the model lacks; it has {', '.join(names)}")
    problems = [f"missing {key}" for key in wanted if key not in offered]
    problems += [f"unexpected {key}" for key in offered if key not in own]
    problems += [
        f"{key} is {tuple(offered[key].shape)}, not {tuple(own[key].shape)}"
        for key in wanted
        if key in offered and offered[key].shape != own[key].shape
    ]
    if problems:
        shown = "; ".join(problems[:8]) + (f"; and {len(problems) - 8} more" if len(problems) > 8 else "")
        raise MdtkError(f"{origin} does not fit the model of this configuration: {shown}")
    module.load_state_dict({**own, **{key: offered[key] for key in wanted}})
    return wanted


def _below(key: str, parts: Sequence[str]) -> bool:
    return not parts or any(key == part or key.startswith(f"{part}.") for part in parts)
