"""The depth network as an ONNX file, and the check that ONNX Runtime gives the same disparity.

onnx, onnxscript and onnxruntime are no dependencies of mdtk: `pip install "mdtk-depth[onnx]"` brings them.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from mdtk import __version__
from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write
from mdtk.models import LoadedModel
from mdtk.models.loaded import full_disparity

INPUT, OUTPUT = "image", "disparity"
OPSET = 18
OLDEST_TORCH = (2, 6)  # whose exporter takes free batch sizes and writes one file


class DisparityNetwork(nn.Module):
    """Images (B, 3, H, W) in 0 … 1 → scaled disparity (1 / depth) (B, 1, H, W): what the file computes, in float32."""

    def __init__(self, model: LoadedModel) -> None:
        super().__init__()
        self.system = copy.deepcopy(model.system).cpu().float().eval()
        self.system.precision = "fp32"
        self.cfg = model.cfg

    def forward(self, image: Tensor) -> Tensor:
        return full_disparity(self.system, image, self.cfg)


@dataclass(frozen=True)
class Parity:
    """Disparity of ONNX Runtime against torch: the maximum absolute difference, and relative to torch's maximum."""

    absolute: float
    relative: float
    images: int


def require(names: Sequence[str] = ("onnx", "onnxscript", "onnxruntime")) -> list[ModuleType]:
    """The optional modules; a missing one is an error that says what to install."""
    if tuple(map(int, torch.__version__.split(".")[:2])) < OLDEST_TORCH:
        raise MdtkError(
            f"ONNX export needs torch {OLDEST_TORCH[0]}.{OLDEST_TORCH[1]} or newer, not {torch.__version__}"
        )
    modules = []
    for name in names:
        try:
            modules.append(importlib.import_module(name))
        except ImportError as error:
            raise MdtkError(
                f"ONNX export needs {', '.join(names)}, and {name} is not installed: pip install {' '.join(names)}"
            ) from error
    return modules


def export_onnx(
    model: LoadedModel, path: str | Path, images_b3hw: Tensor, tolerance: float = 1e-4, static: bool = False
) -> Parity:
    """Writes `path` with a free batch size, or with `static` for one image at a time.

    It is checked against torch on `images_b3hw` (0 … 1, of the network's size), and written only when the
    maximum difference is at most `tolerance` of torch's maximum disparity.
    """
    onnx, _, onnxruntime = require()
    network = DisparityNetwork(model)
    with torch.no_grad():
        expected = network(images_b3hw).numpy()
    with atomic_write(path) as temporary:
        _write(network, images_b3hw, temporary, static)
        _describe(onnx, temporary, model)
        parts = images_b3hw.numpy()[:, None] if static else [images_b3hw.numpy()]
        result = np.concatenate([run_onnx(onnxruntime, temporary, part) for part in parts])
        absolute = float(np.abs(result - expected).max())
        parity = Parity(absolute, absolute / float(np.abs(expected).max()), len(images_b3hw))
        if not parity.relative <= tolerance:
            raise MdtkError(
                f"{path} is not written: ONNX Runtime differs from torch by {parity.relative:.2g} of the maximum "
                f"disparity, more than {tolerance:g}; try another onnxruntime, or raise --tolerance"
            )
    return parity


def _write(network: nn.Module, images: Tensor, path: Path, static: bool) -> None:
    batch = torch.export.Dim("batch", min=1)
    example = images if len(images) > 1 else images.repeat(2, 1, 1, 1)  # a batch of one would be taken for a constant
    if static:
        example = images[:1]
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=None if static else {INPUT: {0: batch}},
            external_data=False,
            verbose=False,
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's progress and its warnings about its own parts say nothing to a user; errors still come through."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _describe(onnx: ModuleType, path: Path, model: LoadedModel) -> None:
    """Notes in the file what goes in and out, and which checkpoint it is; checks the graph."""
    content = onnx.load(str(path))
    notes = {
        "input": f"RGB in 0 … 1, resized to {model.width}x{model.height} (LANCZOS)",
        "output": f"disparity = 1 / depth; depth {model.cfg.MODEL.MIN_DEPTH:g} to {model.cfg.MODEL.MAX_DEPTH:g}",
        "checkpoint_sha256": model.checksum,
        "mdtk": __version__,
    }
    onnx.helper.set_model_props(content, notes)
    onnx.checker.check_model(content)
    onnx.save(content, str(path))


def run_onnx(onnxruntime: ModuleType, path: str | Path, images_b3hw: np.ndarray) -> np.ndarray:
    """Disparity (B, 1, H, W) of an exported file on the CPU."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run([OUTPUT], {INPUT: images_b3hw})[0]
