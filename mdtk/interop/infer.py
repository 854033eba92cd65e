"""What network a published file holds, read off its parameter names and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mdtk.errors import MdtkError
from mdtk.interop.transfer import Array

# Blocks in each of the four layers, and whether they are bottlenecks (He et al., CVPR 2016, table 1).
RESNETS = {
    (2, 2, 2, 2, False): "resnet18",
    (3, 4, 6, 3, False): "resnet34",
    (3, 4, 6, 3, True): "resnet50",
    (3, 4, 23, 3, True): "resnet101",
    (3, 8, 36, 3, True): "resnet152",
}
HRNET_BRANCH = "stage4.0.branches.0.0.conv1.weight"
HRNETS = {18: "hrnet_w18", 32: "hrnet_w32", 48: "hrnet_w48", 64: "hrnet_w64"}


def backbone_name(arrays: Mapping[str, Array], prefix: str, origin: str) -> str:
    """`resnet18` … `resnet152` or `hrnet_w18` … `hrnet_w64`; parameters begin with `prefix`."""
    if f"{prefix}{HRNET_BRANCH}" in arrays:
        width = arrays[f"{prefix}{HRNET_BRANCH}"].shape[0]
        if width in HRNETS:
            return HRNETS[width]
        raise MdtkError(f"{origin}: an HRNet of width {width}; known are {', '.join(map(str, HRNETS))}")
    blocks = [set(), set(), set(), set()]
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
    """How many images are stacked in the input of the convolution `name`."""
    if name not in arrays:
        raise MdtkError(f"{origin}: missing {name}; is the file complete?")
    shape = tuple(arrays[name].shape)
    if len(shape) != 4 or shape[1] % 3:
        raise MdtkError(f"{origin}: {name} has shape {shape}, whose channels are not those of colour images")
    return shape[1] // 3


def skip_scales(arrays: Mapping[str, Array], origin: str) -> tuple[int, ...]:
    """The scales of a skip decoder in the order of its heads: a head of scale s reads 16 · 2**s channels."""
    heads = {}
    for name in arrays:
        if match := re.fullmatch(r"decoder\.(\d+)\.conv\.weight", name):
            heads[int(match[1])] = tuple(arrays[name].shape)
    of_channels = {16 * 2**scale: scale for scale in range(4)}
    widths = [heads[number][1] if len(heads[number]) == 4 else 0 for number in sorted(heads)]
    if sorted(heads) != list(range(10, 10 + len(heads))) or not heads or any(w not in of_channels for w in widths):
        raise MdtkError(f"{origin}: heads (decoder.10.conv.weight …) of shapes {heads} are not those of scales 0 to 3")
    return tuple(of_channels[width] for width in widths)


def head_channels(arrays: Mapping[str, Array]) -> int:
    """Output channels of a skip decoder (checked by `skip_scales`): one a source in a predictive mask."""
    return arrays["decoder.10.conv.weight"].shape[0]


def grid_num_scales(arrays: Mapping[str, Array], origin: str) -> int:
    """The number of heads of a grid decoder."""
    number = sum(re.fullmatch(r"decoder\.\d+\.conv\.weight", name) is not None for name in arrays)
    if not 1 <= number <= 4:
        raise MdtkError(f"{origin}: {number} heads (decoder.N.conv.weight); a grid decoder has 1 to 4")
    return number
