"""Infers the networks of a published file from the names and shapes of its parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mdtk.convert.transfer import Array
from mdtk.core.errors import MdtkError

# Numbers of blocks in the four layers, and whether they are bottlenecks (He et al., CVPR 2016, table 1).
RESNETS = {
    (2, 2, 2, 2, False): "resnet18",
    (3, 4, 6, 3, False): "resnet34",
    (3, 4, 6, 3, True): "resnet50",
    (3, 4, 23, 3, True): "resnet101",
    (3, 8, 36, 3, True): "resnet152",
}
WIDEST = 1 << 16  # channels of a layer
HRNET_BRANCH = "stage4.0.branches.0.0.conv1.weight"
HRNETS = {18: "hrnet_w18", 32: "hrnet_w32", 48: "hrnet_w48", 64: "hrnet_w64"}


def size_of(arrays: Mapping[str, Array], name: str, axis: int, origin: str) -> int:
    """The size of the parameter `name` along `axis`. Raises `MdtkError` if it is missing or has no such axis."""
    if name not in arrays:
        raise MdtkError(f"{origin}: missing {name}; is the file complete?")
    shape = tuple(arrays[name].shape)
    if axis >= len(shape):
        raise MdtkError(f"{origin}: {name} has shape {shape}, not that of a convolution")
    if not 0 < shape[axis] <= WIDEST:  # an array without elements may claim any size
        raise MdtkError(f"{origin}: {name} claims the shape {shape}, which no network has; do not trust it")
    return shape[axis]


def backbone_name(arrays: Mapping[str, Array], prefix: str, origin: str) -> str:
    """The name, resnet18 … resnet152 or hrnet_w18 … hrnet_w64, of the backbone whose parameters start with `prefix`.

    Raises `MdtkError` for another backbone; `origin` names the file in it.
    """
    if f"{prefix}{HRNET_BRANCH}" in arrays:
        width = size_of(arrays, f"{prefix}{HRNET_BRANCH}", 0, origin)
        if width in HRNETS:
            return HRNETS[width]
        raise MdtkError(f"{origin}: an HRNet of width {width}; known are {', '.join(map(str, HRNETS))}")
    blocks: list[set[int]] = [set() for _ in range(4)]
    for name in arrays:
        if match := re.match(rf"{re.escape(prefix)}layer([1-4])\.(\d+)\.", name):
            blocks[int(match[1]) - 1].add(int(match[2]))
    counts = (*map(len, blocks), f"{prefix}layer1.0.conv3.weight" in arrays)
    if counts not in RESNETS:
        raise MdtkError(
            f"{origin}: its encoder is neither a ResNet nor an HRNet that this project knows "
            f"(blocks a layer: {counts[:4]}); is the file complete?"
        )
    return RESNETS[counts]


def in_frames(arrays: Mapping[str, Array], name: str, origin: str) -> int:
    """The number of colour images that are stacked in the input of the convolution `name`, or an `MdtkError`."""
    channels = size_of(arrays, name, 1, origin)
    if channels % 3 or not channels:
        raise MdtkError(f"{origin}: {name} reads {channels} channels, which are not those of colour images")
    return channels // 3


def is_grid(arrays: Mapping[str, Array]) -> bool:
    """Whether the parameters are those of a grid decoder, whose blocks are numbered lists (`decoder.0.1.weight`)."""
    return any(re.fullmatch(r"decoder\.\d+\.\d+\.(weight|bias)", name) for name in arrays)


def _heads(arrays: Mapping[str, Array]) -> list[int]:
    """The numbers of the modules that are heads."""
    found = (re.fullmatch(r"decoder\.(\d+)\.conv\.(weight|bias)", name) for name in arrays)
    return sorted({int(match[1]) for match in found if match})


def skip_scales(arrays: Mapping[str, Array], origin: str) -> tuple[int, ...]:
    """The scales of a skip decoder in the order of its heads; the head of scale s has 16 · 2**s input channels.

    Raises `MdtkError` if the heads are not those of the published decoder.
    """
    heads = _heads(arrays)
    scales = []
    for position, number in enumerate(heads):
        weight = arrays.get(f"decoder.{number}.conv.weight")
        channels = 16 * 2**position if weight is None else (*weight.shape, 0, 0)[1]
        scales.append({16: 0, 32: 1, 64: 2, 128: 3}.get(channels, -1))
    if not heads or heads[0] != 10 or heads[-1] != 9 + len(heads) or -1 in scales or len(set(scales)) != len(scales):
        raise MdtkError(f"{origin}: heads {heads} (decoder.N.conv.weight) are not 10 to 13 with the scales 0 to 3")
    return tuple(scales)


def head_channels(arrays: Mapping[str, Array], origin: str) -> int:
    """The number of output channels of a skip decoder: one per source in a predictive mask."""
    return size_of(arrays, "decoder.10.conv.weight", 0, origin)


def grid_num_scales(arrays: Mapping[str, Array], origin: str) -> int:
    """The number of heads of a grid decoder, which are its scales. Raises `MdtkError` if it is not 1 to 4."""
    number = len(_heads(arrays))
    if not 1 <= number <= 4:
        raise MdtkError(f"{origin}: {number} heads (decoder.N.conv.weight); a grid decoder has 1 to 4")
    return number
