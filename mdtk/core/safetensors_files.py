"""Native checkpoints as `.safetensors`: weights, and the configuration as text in the file's metadata.

Such a file holds tensors and text alone. It has no checksum of its own, so one over the tensors stands in the metadata.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write, require_file
from mdtk.core.guard import reading

SUFFIX = ".safetensors"
_HEADER = 16 << 20  # bytes of names, shapes and metadata; a network of a thousand tensors has 0.2 MB
_BYTES = "base64 uint8"
_ADVICE = "fetch it again"


def write_safetensors(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Writes the weights (`model`), `cfg`, `format`, `version` and `meta` of a native checkpoint, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in content["model"].items()}
    metadata = {
        "format": "pt",  # what other libraries look for
        "mdtk_format": str(content["format"]),
        "mdtk_version": str(content["version"]),
        "mdtk_cfg": content["cfg"],
        "mdtk_meta": json.dumps(content.get("meta", {}), default=_bytes_as_text),
        "mdtk_sha256": _tensor_digest(tensors),
    }
    # The library's own writing makes files that others may not read.
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(save(tensors, metadata))
        file.flush()
        os.fsync(file.fileno())


def read_safetensors(path: Path) -> dict[str, Any]:
    """The content of such a file in the form of `weights.read_torch`: `format` is None for one of another program.

    Raises `MdtkError` for a missing or damaged file, and where the checksum of the tensors is another.
    """
    require_file(path, "checkpoint", "give an existing file")
    with reading(path, "safetensors file", _ADVICE):
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if header > _HEADER:
            raise MdtkError(f"{path}: refused, its header claims {header} bytes; {_ADVICE}")
        with safe_open(path, framework="pt") as opened:
            metadata = dict(opened.metadata() or {})
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118, it is no mapping
        version, meta = (
            int(metadata.get("mdtk_version", 0)),
            json.loads(metadata.get("mdtk_meta", "{}"), object_hook=_text_as_bytes),
        )
    if "mdtk_sha256" in metadata and metadata["mdtk_sha256"] != _tensor_digest(tensors):
        raise MdtkError(f"{path}: is damaged, the checksum of its tensors is wrong; {_ADVICE}")
    return {
        "format": metadata.get("mdtk_format"),
        "version": version,
        "cfg": metadata.get("mdtk_cfg"),
        "model": tensors,
        "meta": meta,
    }


def _bytes_as_text(value: Any) -> dict[str, str]:
    """Packed bytes (a flat uint8 tensor, as of a training list) in JSON."""
    if not isinstance(value, Tensor) or value.dtype != torch.uint8 or value.ndim != 1:
        raise TypeError(f"what is known of a training holds plain values and packed bytes, not {type(value).__name__}")
    return {_BYTES: base64.b64encode(value.numpy().tobytes()).decode()}


def _text_as_bytes(node: dict[str, Any]) -> Any:
    if node.keys() != {_BYTES}:
        return node
    return torch.frombuffer(bytearray(base64.b64decode(node[_BYTES], validate=True)), dtype=torch.uint8)


def _tensor_digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
