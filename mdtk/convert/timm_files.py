"""Weights files of any timm backbone: which backbone a file holds, and its parameters by timm's own names.

timm itself brings the names of a model's first publication to its own (its checkpoint filters). It is handed tensors
that were read safely before; it opens no file and fetches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from mdtk.convert.transfer import Array
from mdtk.core.errors import MdtkError, one_line
from mdtk.core.files import is_file
from mdtk.core.guard import read_json

GIVE_NAME = "say which timm backbone it holds: MODEL.ENCODER NAME (MODEL.POSE_ENCODER for --pose_input)"
WRAPPERS = ("state_dict", "model")  # keys below which trainers keep the parameters
_EFFICIENTNET = "_conv_stem.weight"  # in the files of the first PyTorch port of EfficientNet alone
_REASON = 300  # characters of timm's own words in a message


def unwrapped(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters in a trainer's file: those below `state_dict` or `model`, without DataParallel's `module.`."""
    for key in WRAPPERS:
        if isinstance(content.get(key), Mapping):
            content = content[key]
    if content and all(isinstance(name, str) and name.startswith("module.") for name in content):
        content = {name.removeprefix("module."): value for name, value in content.items()}
    return content


def stated_name(path: Path) -> str:
    """The architecture in the `config.json` that timm's hub keeps beside a file; empty without one."""
    config = path.parent / "config.json"
    if not is_file(config):
        return ""
    content = read_json(config, "JSON of a model's configuration", f"repair it or move it away; or {GIVE_NAME}")
    name = content.get("architecture") if isinstance(content, dict) else None
    return name if isinstance(name, str) and timm.is_model(name) else ""


def name_in_file_name(path: Path, names: Mapping[str, Any]) -> str:
    """The timm backbone that the file is named after, as in `convnext_tiny-983f1562.pth`; empty if there is none.

    The first PyTorch port of EfficientNet (`names` tell it) keeps TensorFlow's padding, and so does timm's `tf_` model.
    """
    words = re.split(r"[-_.]", path.name)
    for count in range(len(words), 0, -1):
        name = "_".join(words[:count])
        if _EFFICIENTNET in names and timm.is_model(f"tf_{name}"):
            return f"tf_{name}"
        if timm.is_model(name):
            return name
    return ""


def classifier(name: str, arrays: Mapping[str, Array], origin: str) -> dict[str, Tensor]:
    """The parameters of the timm classifier `name` by timm's names, from a file's arrays by the file's names.

    Raises `MdtkError` for an unknown name, and for arrays that are not all of its parameters.
    """
    if not timm.is_model(name):
        raise MdtkError(f"{origin}: timm has no backbone named {name!r}; see timm.list_models()")
    tensors = {
        key: value if isinstance(value, Tensor) else torch.from_numpy(value.copy()) for key, value in arrays.items()
    }
    if _EFFICIENTNET in tensors:
        rename = efficientnet_names(name)
        tensors = {rename(key): value for key, value in tensors.items()}
    sizes = _class_counts(name, tensors)
    for classes in sizes:
        try:
            _check_amount(name, classes, tensors)
            given = {"state_dict": dict(tensors), "num_classes": classes}
            model = timm.create_model(name, pretrained=True, num_classes=classes, pretrained_cfg_overlay=given)
            return model.state_dict()
        except Exception as error:  # timm's filters raise whatever names or shapes lead them to
            reason = one_line(str(error), _REASON)
            if classes == sizes[-1]:
                raise MdtkError(f"{origin} is not a complete {name} classifier ({reason}); {GIVE_NAME}") from error
    raise AssertionError("not reached: there is always a number of classes")


def _check_amount(name: str, classes: int, tensors: Mapping[str, Tensor]) -> None:
    """Raises `ValueError` for a network far larger than the file, before it takes memory: the name is a stranger's."""
    with torch.device("meta"):
        wanted = sum(parameter.numel() for parameter in timm.create_model(name, num_classes=classes).parameters())
    stored = sum(tensor.numel() for tensor in tensors.values())
    if wanted > 2 * stored:
        raise ValueError(f"it has {wanted:,} parameters and the file {stored:,} numbers")


def _class_counts(name: str, tensors: Mapping[str, Tensor]) -> list[int]:
    """The number of classes that a file was trained for; without timm's own name of the head, what it may be."""
    config = timm.get_pretrained_cfg(name)
    heads = config.classifier if config is not None else None
    for head in [heads] if isinstance(heads, str) else list(heads or ()):
        weight = tensors.get(f"{head}.weight")
        if weight is not None and weight.ndim:
            return [int(weight.shape[0])]
    return [1000, 0]


def efficientnet_names(name: str) -> Callable[[str], str]:
    """What brings the parameter names of EfficientNet's first PyTorch port to those of the timm model `name`.

    There blocks are numbered through all stages, and the norms of a block after their place in a block that expands.
    """
    with torch.device("meta"):
        model = timm.create_model(name)
    found = (re.match(r"blocks\.\d+\.\d+(?=\.)", key) for key in model.state_dict())
    blocks = list(dict.fromkeys(match[0] for match in found if match))
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    expanding = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    expanding |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    squeeze = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
    ends = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    expands = {block for block in blocks if hasattr(model.get_submodule(block), "conv_pwl")}

    def rename(published: str) -> str:
        if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(.+)", published):
            block = blocks[int(match[1])] if int(match[1]) < len(blocks) else ""
            layers = (expanding if block in expands else plain) | squeeze
            return f"{block}.{layers[match[2]]}.{match[3]}" if block and match[2] in layers else published
        layer, _, leaf = published.partition(".")
        return f"{ends.get(layer, layer)}.{leaf}"

    return rename


def feature_names(parameters: Mapping[str, Any]) -> Callable[[str], str]:
    """What gives the classifier's name of a parameter of the same model with `features_only`.

    timm lists the stages of some models there, with underscores for points, and wraps others as `model`.
    """
    known = {_flat(name): name for name in parameters}
    return lambda name: known.get(_flat(name), name)


def _flat(name: str) -> str:
    return name.removeprefix("model.").replace(".", "_")
