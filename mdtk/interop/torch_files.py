"""PyTorch files, read without executing anything that they carry."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mdtk.errors import MdtkError
from mdtk.files import require_file

# A dict of counts, in the state of torch's own MultiStepLR; older versions of torch do not know it as harmless.
torch.serialization.add_safe_globals([Counter])


def read_torch(path: Path) -> dict[str, Any]:
    """The dictionary in a `torch.save` file: tensors and plain values only; anything else is refused."""
    require_file(path, "checkpoint", "give an existing file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own text advises to switch the safety off; only what was met is passed on.
        met = re.search(r"GLOBAL (\S+)|(Unsupported operand \d+)", str(error))
        reason = f"it names {met[1]}" if met and met[1] else (met[2].lower() if met else "unknown content")
        raise MdtkError(
            f"{path}: refused, it is no plain weights file of tensors and plain values ({reason}); do not trust it"
        ) from error
    except (RuntimeError, ValueError, EOFError, OSError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise MdtkError(f"{path}: not readable as a PyTorch file ({_first_line(error)}); is it complete?") from error
    except zipfile.BadZipFile as error:
        raise MdtkError(f"{path}: a damaged PyTorch file ({_first_line(error)}); fetch it again") from error
    if not isinstance(content, Mapping):
        raise MdtkError(f"{path}: holds a {type(content).__name__}, not a dictionary of parameters")
    return dict(content)


def tensors_and_settings(content: Mapping[str, Any], origin: str, allowed: tuple[str, ...]) -> tuple[dict, dict]:
    """Splits a state dict into tensors and the plain values named in `allowed`; another value is an error."""
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    settings = {name: value for name, value in content.items() if name in allowed and name not in tensors}
    strange = [name for name in content if name not in tensors and name not in settings]
    if strange:
        raise MdtkError(f"{origin}: unexpected values that are not tensors: {', '.join(map(str, strange[:30]))}")
    for name, value in settings.items():
        if not isinstance(value, (int, float, bool)):
            raise MdtkError(f"{origin}: {name} is a {type(value).__name__}, not a number")
    return tensors, settings


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0][:200] if lines else type(error).__name__
