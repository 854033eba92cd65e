"""Networks as files that run without mdtk, and the check that they give what torch gives.

The suffix says which: .onnx for ONNX Runtime and others (`onnx_file`), .pt2 for torch alone (`torch.export`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mdtk import __version__
from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write
from mdtk.inference.onnx_file import require, run_onnx, write_onnx
from mdtk.models import LoadedModel
from mdtk.models.loaded import full_disparity
from mdtk.models.system import DepthSystem

SUFFIXES = (".onnx", ".pt2")
TOLERANCE, HALF_TOLERANCE = 1e-4, 1e-2  # the largest difference, as a share of the largest value


class DisparityNetwork(nn.Module):
    """Images (B, 3·F, H, W) in 0 … 1 → scaled disparity (1 / depth) (B, 1, H, W), in float32."""

    def __init__(self, model: LoadedModel) -> None:
        super().__init__()
        self.system = _plain(model)
        self.cfg = model.cfg

    def forward(self, image: Tensor) -> Tensor:
        return full_disparity(self.system, image, self.cfg)


class MotionNetwork(nn.Module):
    """Two images (B, 3, H, W) in 0 … 1, the second the next frame → (B, 4, 4): the first camera to the second."""

    def __init__(self, model: LoadedModel) -> None:
        super().__init__()
        self.system = _plain(model)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.system.relative_pose(first, second)


def _plain(model: LoadedModel) -> DepthSystem:
    system = copy.deepcopy(model.system).cpu().float().eval()
    system.precision = "fp32"
    return system


@dataclass(frozen=True)
class Part:
    """What goes into one file: a network, the names of what goes in and out, and notes that travel with it."""

    network: nn.Module
    inputs: tuple[str, ...]
    output: str
    notes: dict[str, str]


@dataclass(frozen=True)
class Parity:
    """The file against torch: the largest absolute difference, and relative to torch's largest value."""

    absolute: float
    relative: float
    images: int


def depth_part(model: LoadedModel) -> Part:
    """The depth network: `image` → `disparity`."""
    notes = {
        "input": f"RGB in 0 … 1, resized to {model.width}x{model.height} (LANCZOS)",
        "output": f"disparity = 1 / depth; depth {model.cfg.MODEL.MIN_DEPTH:g} to {model.cfg.MODEL.MAX_DEPTH:g}",
    }
    return Part(DisparityNetwork(model).eval(), ("image",), "disparity", notes | _origin(model))


def motion_part(model: LoadedModel) -> Part:
    """The pose network: `first`, `second` → `motion`. Raises `MdtkError` for a checkpoint without one of pairs."""
    network, (height, width) = MotionNetwork(model).eval(), (model.height, model.width)
    with torch.no_grad():
        network(*torch.zeros(2, 1, 3, height, width))  # says what it lacks before anything is written
    notes = {
        "input": f"first and second: RGB in 0 … 1, resized to {width}x{height} (LANCZOS), second the next frame",
        "output": "motion: 4 x 4, maps the first camera's coordinates to the second's, in the unit of the depth",
    }
    return Part(network, ("first", "second"), "motion", notes | _origin(model))


def _origin(model: LoadedModel) -> dict[str, str]:
    return {"checkpoint_sha256": model.checksum, "mdtk": __version__}


def check_export(path: str | Path, half: bool) -> None:
    """Raises `MdtkError` for a suffix that is none of `SUFFIXES`, half precision of a .pt2, and missing packages."""
    suffix = Path(path).suffix
    if suffix not in SUFFIXES:
        raise MdtkError(f"--output {path} must end with .onnx, .pt2 or .safetensors, which says what is written")
    if half and suffix != ".onnx":
        raise MdtkError(f"--half is of .onnx files; give another --output than {path}, or leave it out")
    if suffix == ".onnx":
        require()


def export(
    part: Part,
    path: str | Path,
    examples: Sequence[Tensor],
    tolerance: float = TOLERANCE,
    static: bool = False,
    half: bool = False,
) -> Parity:
    """Writes `path` (.onnx or .pt2) with a free batch size, or with `static` for one image at a time.

    `half`: weights and arithmetic in float16, what goes in and out stays float32. The file is checked against torch on
    `examples` (a batch for each input), and written only when the maximum difference is at most `tolerance` of
    torch's maximum.
    """
    check_export(path, half)
    with torch.no_grad():
        expected = part.network(*examples).numpy()
    with atomic_write(path) as temporary:
        if temporary.suffix == ".pt2":
            _write_pt2(part, examples, temporary, static)
        else:
            write_onnx(part.network, part.inputs, part.output, part.notes, examples, temporary, static, half)
        batches = list(zip(*(one.split(1) for one in examples), strict=True)) if static else [tuple(examples)]
        result = np.concatenate([_run(part, temporary, batch) for batch in batches])
        absolute = float(np.abs(result - expected).max())
        parity = Parity(absolute, absolute / float(np.abs(expected).max()), len(expected))
        if not parity.relative <= tolerance:
            raise MdtkError(
                f"{path} is not written: what it gives differs from torch by {parity.relative:.2g} of the largest "
                f"{part.output}, more than {tolerance:g}; try another version of the runtime, or raise --tolerance"
            )
    return parity


def _run(part: Part, path: Path, batch: Sequence[Tensor]) -> np.ndarray:
    if path.suffix == ".pt2":
        with torch.no_grad():
            found: np.ndarray = torch.export.load(path).module()(*batch).numpy()
        return found
    return run_onnx(path, {name: one.numpy() for name, one in zip(part.inputs, batch, strict=True)})


def _write_pt2(part: Part, examples: Sequence[Tensor], path: Path, static: bool) -> None:
    shapes = None if static else {name: {0: torch.export.Dim("batch", min=1)} for name in part.inputs}
    given = tuple(one[:1] if static else one.repeat(2, 1, 1, 1)[: max(2, len(one))] for one in examples)
    with torch.no_grad():
        program = torch.export.export(part.network, given, dynamic_shapes=shapes)
    torch.export.save(program, path, extra_files={f"{key}.txt": value for key, value in part.notes.items()})
