"""Small published networks for tests: parameters in Monodepth2's and BDEdepth's names, made from their layout alone.

The encoder's names come from torchvision, which the published systems wrap; the decoders' are written down here.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torchvision

Arrays = dict[str, np.ndarray]

SKIP_WIDTHS = {4: 256, 3: 128, 2: 64, 1: 32, 0: 16}
RESNET18_CHANNELS = [64, 64, 128, 256, 512]


def values(shapes: dict[str, tuple[int, ...]], seed: int) -> Arrays:
    """Random arrays: positive variances, weights that keep activations moderate."""
    return dict(_values(tuple(shapes.items()), seed))


@functools.cache
def _values(shapes: tuple[tuple[str, tuple[int, ...]], ...], seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes:
        if name.endswith("num_batches_tracked"):
            arrays[name] = np.array(3, dtype=np.int64)
        elif len(shape) < 2:
            noise = 0.1 * rng.standard_normal(shape, dtype=np.float32)
            is_norm_weight = "bn" in name and name.endswith("weight")
            arrays[name] = noise + 1 if is_norm_weight or name.endswith("running_var") else noise
        else:
            scale = np.float32(np.prod(shape[1:]) ** -0.5)
            arrays[name] = scale * rng.standard_normal(shape, dtype=np.float32)
    return arrays


def resnet18(frames: int = 1, seed: int = 0, prefix: str = "encoder.", head: bool = True) -> Arrays:
    """`encoder.conv1.weight` … `encoder.fc.bias`: 122 parameters with the head."""
    with torch.device("meta"):
        state = torchvision.models.resnet18().state_dict()
    shapes = {f"{prefix}{name}": tuple(tensor.shape) for name, tensor in state.items()}
    shapes[f"{prefix}conv1.weight"] = (64, 3 * frames, 7, 7)
    arrays = values(shapes, seed)
    return {name: array for name, array in arrays.items() if head or ".fc." not in f".{name}"}


def context_stem(seed: int = 1) -> Arrays:
    """BDEdepth's `conv1` and `bn1` beside the encoder."""
    norm = {f"bn1.{leaf}": (64,) for leaf in ("weight", "bias", "running_mean", "running_var")}
    return values({"conv1.weight": (64, 3, 7, 7), **norm, "bn1.num_batches_tracked": ()}, seed)


def skip_decoder(scales: tuple[int, ...] = (0, 1, 2, 3), out_channels: int = 1, seed: int = 2) -> Arrays:
    """`decoder.0` … `decoder.9`, then a head a scale."""
    shapes: dict[str, tuple[int, ...]] = {}
    below = RESNET18_CHANNELS[4]
    for row in (4, 3, 2, 1, 0):
        width, number = SKIP_WIDTHS[row], 2 * (4 - row)
        skip = RESNET18_CHANNELS[row - 1] if row else 0
        for offset, channels in ((0, below), (1, width + skip)):
            shapes[f"decoder.{number + offset}.conv.conv.weight"] = (width, channels, 3, 3)
            shapes[f"decoder.{number + offset}.conv.conv.bias"] = (width,)
        below = width
    for index, scale in enumerate(scales):
        shapes[f"decoder.{10 + index}.conv.weight"] = (out_channels, SKIP_WIDTHS[scale], 3, 3)
        shapes[f"decoder.{10 + index}.conv.bias"] = (out_channels,)
    return values(shapes, seed)


def grid_decoder(num_scales: int = 1, seed: int = 3) -> Arrays:
    """BDEdepth's decoder for a ResNet-18 with the context stem."""
    channels, widths = [64, *RESNET18_CHANNELS], [16, 32, 32, 64, 128, 256]
    shapes: dict[str, tuple[int, ...]] = {}
    number = 0
    for row in range(6):
        for column in range(3):
            before = channels[row] if column == 0 else widths[row]
            for prelu, conv, inputs in ((0, 1, before), (2, 3, widths[row])):
                shapes[f"decoder.{number}.{prelu}.weight"] = (1,)
                shapes[f"decoder.{number}.{conv}.weight"] = (widths[row], inputs, 3, 3)
                shapes[f"decoder.{number}.{conv}.bias"] = (widths[row],)
            number += 1
            if row < 5:
                shapes[f"decoder.{number}.1.weight"] = (1,)
                shapes[f"decoder.{number}.2.weight"] = (widths[row], widths[row + 1], 3, 3)
                shapes[f"decoder.{number}.2.bias"] = (widths[row],)
                number += 1
        if row < num_scales:
            shapes[f"decoder.{number}.conv.weight"] = (1, widths[row], 3, 3)
            shapes[f"decoder.{number}.conv.bias"] = (1,)
            number += 1
    return values(shapes, seed)


def pose_decoder(inputs: int = 1, poses: int = 2, channels: int = 512, seed: int = 4) -> Arrays:
    """`net.0` … `net.3`."""
    sizes = [(256, channels, 1), (256, 256 * inputs, 3), (256, 256, 3), (6 * poses, 256, 1)]
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (out, into, kernel) in enumerate(sizes):
        shapes[f"net.{number}.weight"] = (out, into, kernel, kernel)
        shapes[f"net.{number}.bias"] = (out,)
    return values(shapes, seed)


def pose_cnn(frames: int = 2, seed: int = 5) -> Arrays:
    """`net.0` … `net.6` and `pose_conv`."""
    widths, kernels = [3 * frames, 16, 32, 64, 128, 256, 256, 256], [7, 5, 3, 3, 3, 3, 3]
    shapes: dict[str, tuple[int, ...]] = {}
    for number, kernel in enumerate(kernels):
        shapes[f"net.{number}.weight"] = (widths[number + 1], widths[number], kernel, kernel)
        shapes[f"net.{number}.bias"] = (widths[number + 1],)
    shapes |= {"pose_conv.weight": (6 * (frames - 1), 256, 1, 1), "pose_conv.bias": (6 * (frames - 1),)}
    return values(shapes, seed)


def monodepth2() -> dict[str, Arrays]:
    """The four networks of a released Monodepth2 model."""
    return {
        "encoder": resnet18(),
        "depth": skip_decoder(),
        "pose_encoder": resnet18(frames=2, seed=6),
        "pose": pose_decoder(),
    }


def paddle_spelling(arrays: Arrays) -> Arrays:
    """Monodepth2's names → Paddle's: its statistics, no counters, fully connected weights transposed."""
    out = {}
    for name, array in arrays.items():
        if name.endswith("num_batches_tracked"):
            continue
        name = name.replace("running_mean", "_mean").replace("running_var", "_variance")
        out[name] = np.ascontiguousarray(array.T) if array.ndim == 2 else array
    return out


def gluon_spelling(encoder: Arrays, decoder: Arrays) -> Arrays:
    """Monodepth2's names → GluonCV's: gamma and beta, no counters, the decoder under two names."""
    out = {}
    for name, array in encoder.items():
        stem, _, leaf = name.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        is_norm = "bn" in stem or "downsample.1" in stem
        leaf = {"weight": "gamma", "bias": "beta"}.get(leaf, leaf) if is_norm else leaf
        out[f"encoder.{stem}.{leaf}"] = array
    for name, array in decoder.items():
        network, _, rest = name.partition(".")
        out[f"decoder.{rest}"] = array
        out[f"decoder.{network}.{rest}"] = array
    return out
