"""What a model costs: parameters and multiply-adds by part, latency, throughput, peak memory."""

from __future__ import annotations

import copy
import resource
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import thop
import timm
import torch
from timm.models import is_model_in_modules
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mdtk.core.errors import MdtkError
from mdtk.inference.exported import depth_part, export
from mdtk.inference.onnx_file import open_onnx
from mdtk.models import LoadedModel
from mdtk.models.encoders import ALIASES
from mdtk.models.pose_network import PoseNetwork
from mdtk.models.system import DepthSystem

MEBI = 2**20
Given = Tensor | list[Tensor] | int  # an argument of a network


@dataclass(frozen=True)
class PartCost:
    """One part of the system, for one image (or one pair of frames for the pose network and learned intrinsics).

    `multiply_adds`: as thop counts them, normalisations and upsampling included (the field's published figures);
    `matrix_multiply_adds`: convolutions and matrix products alone, as torch's own counter sees them.
    """

    name: str
    parameters: int
    multiply_adds: int
    matrix_multiply_adds: int


@dataclass(frozen=True)
class Speed:
    """Time of one prediction of a batch, after warm-up. `memory_of`: what `peak_memory_mib` is the peak of."""

    name: str
    device: str
    precision: str
    height: int
    width: int
    batch_size: int
    warmup: int
    repeats: int
    latency_ms_median: float
    latency_ms_p90: float
    images_per_second: float
    peak_memory_mib: float
    memory_of: str


def count_parameters(module: nn.Module) -> int:
    """All parameters, each once; buffers such as batch-norm statistics are none."""
    return sum(parameter.numel() for parameter in module.parameters())


def classifier_parameters(encoder: str) -> int:
    """Parameters of a ResNet's ImageNet classifier, which is not built here but is in published counts; else 0."""
    name = ALIASES.get(encoder, encoder)
    if not is_model_in_modules(name, ["resnet"]):
        return 0
    with torch.device("meta"):
        model: Any = timm.create_model(name)
        return count_parameters(model.get_classifier())


def part_costs(system: DepthSystem, height: int, width: int) -> list[PartCost]:
    """The costs of each part for one image of `height` × `width`, and of one run of the pose network."""
    # thop hangs counters on the modules that it looks at: it gets a copy.
    system = copy.deepcopy(system).cpu().to(memory_format=torch.contiguous_format).eval()
    costs = []
    with torch.no_grad():
        image = torch.rand(1, 3 * len(system.input_offsets), height, width)
        features = system.depth.encoder(image)
        costs.append(_cost("depth.encoder", system.depth.encoder, image))
        costs.append(_cost("depth.decoder", system.depth.decoder, features))
        if system.mask is not None:
            costs.append(_cost("mask", system.mask, features))
        if system.pose is not None:
            costs += _pose_costs(system, system.pose, features, height, width)
    return costs


def _pose_costs(
    system: DepthSystem, pose: PoseNetwork, features: list[Tensor], height: int, width: int
) -> list[PartCost]:
    frames = torch.rand(1, 3 * pose.num_frames, height, width)
    if pose.kind == "posecnn":
        return [_cost("pose.decoder", pose.decoder, frames)]
    if pose.kind == "shared":
        return [_cost("pose.decoder", pose.decoder, [features[-1]] * pose.num_frames)]
    encoder = pose.encoder
    assert encoder is not None
    coarsest = [encoder(frames)[-1]]
    costs = [_cost("pose.encoder", encoder, frames), _cost("pose.decoder", pose.decoder, coarsest)]
    if system.intrinsics is not None:
        costs.append(_cost("intrinsics", system.intrinsics, coarsest, height, width))
    return costs


def _cost(name: str, module: nn.Module, *given: Given) -> PartCost:
    return PartCost(
        name, count_parameters(module), thop_multiply_adds(module, *given), torch_multiply_adds(module, *given)
    )


def thop_multiply_adds(module: nn.Module, *given: Given, ignored: tuple[type, ...] = ()) -> int:
    """Multiply-adds of `module(*given)` by thop; layers of the types in `ignored` count nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # thop warns of its own internals
        nothing = {kind: thop.vision.basic_hooks.zero_ops for kind in ignored}
        total, _ = thop.profile(module, inputs=given, custom_ops=nothing, verbose=False)
    return int(total)


def torch_multiply_adds(module: nn.Module, *given: Given) -> int:
    """Multiply-adds of the convolutions and matrix products in `module(*given)`, by torch's counter."""
    counter = FlopCounterMode(display=False)
    with counter:
        module(*given)
    return counter.get_total_flops() // 2  # it counts a multiply-add as two operations


def measure(
    name: str,
    predict: Callable[[], object],
    device: torch.device,
    precision: str,
    shape: tuple[int, int, int],
    *,
    warmup: int = 5,
    repeats: int = 20,
) -> Speed:
    """Times `predict()`, which works on a batch of `shape` (batch size, height, width) on `device`."""
    if repeats < 1 or warmup < 0 or shape[0] < 1:
        raise MdtkError("--repeats and --batch_size take at least 1, --warmup at least 0")
    for _ in range(warmup):
        predict()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = [_timed(predict, device) for _ in range(repeats)]
    median = statistics.median(seconds)
    peak, memory_of = _peak_memory(device)
    return Speed(
        name=name,
        device=_device_name(device),
        precision=precision,
        height=shape[1],
        width=shape[2],
        batch_size=shape[0],
        warmup=warmup,
        repeats=repeats,
        latency_ms_median=1e3 * median,
        latency_ms_p90=1e3 * sorted(seconds)[min(repeats - 1, int(0.9 * repeats))],
        images_per_second=shape[0] / median,
        peak_memory_mib=peak,
        memory_of=memory_of,
    )


def _timed(predict: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    predict()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_memory(device: torch.device) -> tuple[float, str]:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MEBI, "tensors on the GPU during the timed runs"
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEBI, "the whole process since its start"


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} thread{'s' if threads > 1 else ''}"


def profile_onnx(model: LoadedModel, shape: tuple[int, int, int], *, warmup: int = 5, repeats: int = 20) -> Speed:
    """Speed of the disparity of a batch of `shape` (batch size, height, width) in ONNX Runtime on the CPU."""
    images = torch.rand(shape[0], 3 * len(model.input_offsets), *shape[1:])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(depth_part(model), path, (images,))
        run = open_onnx(path, torch.get_num_threads())
    given = {"image": images.numpy()}
    return measure("disparity, ONNX Runtime", lambda: run(given), torch.device("cpu"), "fp32", shape,
                   warmup=warmup, repeats=repeats)  # fmt: skip


def profile_system(
    system: DepthSystem, device: torch.device, shape: tuple[int, int, int], *, warmup: int = 5, repeats: int = 20
) -> list[Speed]:
    """Speed of the disparity of a batch of `shape` (batch size, height, width), and of one pair's motion."""
    batch_size, height, width = shape
    system = system.to(device).eval()
    images = torch.rand(batch_size, 3, height, width, device=device)
    stacked = images.repeat(1, len(system.input_offsets), 1, 1)
    options = {"warmup": warmup, "repeats": repeats}
    speeds = []
    with torch.inference_mode():

        def predict() -> object:
            return system.sigmoids(system.features(stacked))

        speeds.append(measure("disparity", predict, device, system.precision, shape, **options))
        if system.pose is not None and system.pose.inputs == "pairs":
            speeds.append(
                measure(
                    "motion of a pair",
                    lambda: system.relative_pose(images, images),
                    device,
                    system.precision,
                    shape,
                    **options,
                )
            )
    return speeds
