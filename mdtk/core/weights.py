"""State files: written atomically, read without running code in them, loaded whole or in parts but never in silence."""

from __future__ import annotations

import os
import pickle
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write, require_file
from mdtk.core.guard import reading
from mdtk.core.safetensors_files import SUFFIX, read_safetensors, write_safetensors
from mdtk.core.torch_files import check_tensors, check_torch_file

FORMAT, VERSION = "mdtk", 1
# torch's own MultiStepLR keeps its milestones in a Counter, which older versions of torch refuse to load.
torch.serialization.add_safe_globals([Counter])


def write_weights(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Writes a native checkpoint (`model`, `cfg` and whatever else `content` holds), atomically and flushed to disk.

    A path that ends in .safetensors keeps `model`, `cfg` and `meta` alone.
    """
    if Path(path).suffix == SUFFIX:
        write_safetensors(path, {"format": FORMAT, "version": VERSION, **content})
        return
    with atomic_write(path) as temporary:
        torch.save({"format": FORMAT, "version": VERSION, **content}, temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())


def read_torch(path: Path) -> dict[str, Any]:
    """The dictionary in a `torch.save` file, on the CPU. No code in the file can run.

    Raises `MdtkError` for a missing or damaged file, and for one that holds more than tensors and plain values.
    """
    require_file(path, "checkpoint", "give an existing file")
    with reading(path, "PyTorch file", "is it complete? fetch it again"):
        check_torch_file(path)
        content = _load(path)
    if not isinstance(content, Mapping):
        raise MdtkError(f"{path}: holds a {type(content).__name__}, not a dictionary of parameters")
    check_tensors(content, str(path))
    return dict(content)


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message advises to switch the safety off, so only its reason is passed on.
        met = re.search(r"GLOBAL (\S+)|(Unsupported operand \d+)", str(error))
        reason = f"it names {met[1]}" if met and met[1] else (met[2].lower() if met else "unknown content")
        raise MdtkError(
            f"{path}: refused, it is no plain weights file of tensors and plain values ({reason}); do not trust it"
        ) from error


def read_content(path: Path) -> dict[str, Any]:
    """The content of a `.safetensors` file, else of a `torch.save` file, whatever program wrote it."""
    if path.suffix != SUFFIX:
        return read_torch(path)
    content = read_safetensors(path)
    check_tensors(content, str(path))
    return content


def read_weights(path: str | os.PathLike[str], with_configuration: bool = True) -> dict[str, Any]:
    """The content of a native checkpoint, on the CPU; not `with_configuration`: weights alone will do.

    Raises `MdtkError` as `read_torch` does, and for a checkpoint of another program or of a newer format.
    """
    content = read_content(Path(path))
    if content.get("format") != FORMAT:
        raise MdtkError(f"{path} is no mdtk checkpoint; convert it first with tools/convert_checkpoint.py")
    version, model, cfg = content.get("version"), content.get("model"), content.get("cfg")
    if not isinstance(version, int) or not isinstance(cfg, str if with_configuration else (str, type(None))):
        raise MdtkError(f"{path}: has no version number or no configuration of mdtk in it; fetch it again")
    if version > VERSION:
        raise MdtkError(f"{path} was written by a newer mdtk (format {version}); update mdtk")
    if not isinstance(model, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in model.items()
    ):
        raise MdtkError(f"{path}: its model is not a dictionary of tensors by name; fetch it again")
    return content


def load_parts(module: nn.Module, state: Mapping[str, Tensor], parts: Sequence[str], origin: str) -> list[str]:
    """Loads `state` into `module`, strictly: all of it, or only the submodules `parts` if any are named.

    Returns the keys that were loaded. Raises `MdtkError` that lists missing, unexpected and mis-shaped keys; `origin`
    names the file in it.
    """
    own = module.state_dict()
    wanted = [key for key in own if _below(key, parts)]
    offered = {key: value for key, value in state.items() if _below(key, parts)}
    for part in parts:
        if not any(_below(key, [part]) for key in own):
            names = sorted({key.split(".")[0] for key in own})
            raise MdtkError(f"MODEL.WEIGHTS_PARTS names {part!r}, which the model lacks; it has {', '.join(names)}")
    _check_shapes(own, offered, wanted, origin)
    module.load_state_dict({**own, **{key: offered[key] for key in wanted}})
    return wanted


def load_shapes(module: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Raises `MdtkError`, as `load_parts` does, if `state` does not fit `module`, which may be on the meta device."""
    own = module.state_dict()
    _check_shapes(own, state, list(own), origin)


def _check_shapes(own: Mapping[str, Tensor], offered: Mapping[str, Tensor], wanted: Sequence[str], origin: str) -> None:
    problems = [f"missing {key}" for key in wanted if key not in offered]
    problems += [f"unexpected {key}" for key in offered if key not in own]
    problems += [
        f"{key} is {tuple(offered[key].shape)}, not {tuple(own[key].shape)}"
        for key in wanted
        if key in offered and offered[key].shape != own[key].shape
    ]
    if problems:
        shown = "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
        raise MdtkError(
            f"{origin} does not fit the model of this configuration: {shown}; set the MODEL keys of its training"
        )


def _below(key: str, parts: Sequence[str]) -> bool:
    return not parts or any(key == part or key.startswith(f"{part}.") for part in parts)
