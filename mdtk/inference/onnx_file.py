"""A network as an ONNX file, and running one with ONNX Runtime.

onnx, onnxscript and onnxruntime are no dependencies of mdtk: `pip install "mdtk-depth[onnx]"` brings them.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from mdtk.core.errors import MdtkError
from mdtk.core.optional import optional_module

OPSET = 18
OLDEST_TORCH = (2, 6)  # whose exporter takes free batch sizes and writes one file
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def require() -> list[ModuleType]:
    """The optional modules; a missing one is an error that says what to install."""
    if tuple(map(int, torch.__version__.split(".")[:2])) < OLDEST_TORCH:
        raise MdtkError(
            f"ONNX export needs torch {OLDEST_TORCH[0]}.{OLDEST_TORCH[1]} or newer, not {torch.__version__}"
        )
    return [optional_module(name, "an ONNX file", " ".join(PACKAGES)) for name in PACKAGES]


def write_onnx(
    network: nn.Module,
    inputs: Sequence[str],
    output: str,
    notes: Mapping[str, str],
    examples: Sequence[Tensor],
    path: Path,
    static: bool = False,
    half: bool = False,
) -> None:
    """Writes one file: the graph and all weights, with `notes` as its metadata. See `exported.export`."""
    onnx = require()[0]
    # A batch of one would be taken for a constant.
    given = tuple(one[:1] if static else one.repeat(2, 1, 1, 1)[: max(2, len(one))] for one in examples)
    shapes = None if static else {name: {0: torch.export.Dim("batch", min=1)} for name in inputs}
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            network,
            given,
            str(path),
            input_names=list(inputs),
            output_names=[output],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=shapes,
            external_data=False,
            verbose=False,
        )
    content = onnx.load(str(path))
    if half:
        graph = optional_module("onnxruntime.transformers.onnx_model", "half precision", "onnxruntime").OnnxModel(
            content
        )
        with _quiet():
            graph.convert_float_to_float16(use_symbolic_shape_infer=False, keep_io_types=True)
            graph.topological_sort()
        content = graph.model
    onnx.helper.set_model_props(content, dict(notes))
    onnx.checker.check_model(content)
    onnx.save(content, str(path))


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


def open_onnx(path: str | Path, threads: int = 0) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """The network of an exported file on the CPU, on so many threads (0: all): inputs by name → its one output."""
    runtime = require()[2]
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, dict(inputs))[0]


def run_onnx(path: str | Path, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The one output of an exported file for these inputs, on the CPU."""
    return open_onnx(path)(inputs)
