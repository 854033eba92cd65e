"""Looks at a `torch.save` file before and after torch reads it: what it can cost, and what its tensors claim."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from mdtk.core.errors import MdtkError
from mdtk.core.pickle_bounds import check_pickle

_ZIP = b"PK\x03\x04"
_OLD_PICKLES = 5  # of torch's form before 1.6: magic number, protocol, system, content, names of the storages
_PUBLISHED = (".pth", ".pdparams", ".params")
_DEEPEST = 64  # levels of dictionaries and lists


def check_torch_file(path: Path) -> None:
    """Raises `MdtkError` for what torch should not be given: costly pickles, packed archives, a zipped folder.

    Every record of an archive is compared with its checksum; files of torch < 1.6 hold none. Other errors are those of
    the parsing libraries: call it inside `guard.reading`.
    """
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
        if start != _ZIP:
            file.seek(0)
            for _ in range(_OLD_PICKLES):
                check_pickle(file, str(path))
            return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        pickles = [member for member in members if PurePosixPath(member.filename).name == "data.pkl"]
        if not pickles:
            raise MdtkError(_no_torch_file(path, [member.filename for member in members]))
        packed = [member for member in members if member.compress_type != zipfile.ZIP_STORED]
        if packed or sum(member.file_size for member in members) > os.path.getsize(path):
            raise MdtkError(f"{path}: refused, a packed archive, which torch does not write; fetch it again")
        for member in pickles:
            with archive.open(member) as file:
                check_pickle(file, str(path))
        if damaged := archive.testzip():  # torch itself does not look at the checksums (CRC-32)
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")


def _no_torch_file(path: Path, names: list[str]) -> str:
    weights = [name for name in names if name.endswith(_PUBLISHED)]
    if weights:
        folder = PurePosixPath(weights[0]).parent
        return f"{path}: is a zip of a folder of weights; unpack it and give the folder that holds {weights[0]}" + (
            f" ({folder})" if folder.name else ""
        )
    return f"{path}: is a zip archive, but not one of PyTorch; give the checkpoint itself"


def check_tensors(content: Any, origin: str, depth: int = 0) -> None:
    """Raises `MdtkError` for a tensor that is no plain one, or claims more elements than it stores (a stride of 0)."""
    if depth > _DEEPEST:
        raise MdtkError(f"{origin}: refused, nested more than {_DEEPEST} levels deep; do not trust it")
    if isinstance(content, Tensor):
        if type(content) not in (Tensor, torch.nn.Parameter) or content.layout != torch.strided or content.is_quantized:
            raise MdtkError(
                f"{origin}: refused, it holds a tensor of a special kind ({content.layout}); do not trust it"
            )
        if content.numel() * content.element_size() > content.untyped_storage().nbytes():
            raise MdtkError(
                f"{origin}: refused, a tensor claims the shape {tuple(content.shape)}, of which it stores only "
                f"{content.untyped_storage().nbytes()} bytes; do not trust it"
            )
    elif isinstance(content, Mapping):
        for value in content.values():
            check_tensors(value, origin, depth + 1)
    elif isinstance(content, (list, tuple)):
        for value in content:
            check_tensors(value, origin, depth + 1)
