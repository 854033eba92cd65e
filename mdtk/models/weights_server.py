"""A look at the server of ImageNet weights before timm asks it: a network that hangs costs seconds, not minutes."""

from __future__ import annotations

import timm
from huggingface_hub import constants, try_to_load_from_cache

from mdtk.core.download import ANSWER, why_silent
from mdtk.core.errors import MdtkError

_FILES = ("model.safetensors", "pytorch_model.bin")  # that timm looks for at the hub


def check_server(tag: str, seconds: float = ANSWER) -> None:
    """Raises `MdtkError` if the ImageNet weights of the timm model `tag` are not in a cache and their server is silent.

    Any answer will do, an error's too: what it means is timm's to say.
    """
    weights = timm.get_pretrained_cfg(tag)
    if weights is None or weights.file or not (weights.hf_hub_id or weights.url):
        return
    hub = weights.hf_hub_id
    if hub and (constants.HF_HUB_OFFLINE or any(isinstance(try_to_load_from_cache(hub, one), str) for one in _FILES)):
        return
    address = f"{constants.ENDPOINT}/{hub}/resolve/main/{_FILES[0]}" if hub else str(weights.url)
    if reason := why_silent(address, seconds):
        raise MdtkError(
            f"MODEL.PRETRAINED: the ImageNet weights of {tag} could not be had, {address} does not answer ({reason}); "
            "connect to the network, give a file in MODEL.WEIGHTS, or set MODEL.PRETRAINED False"
        )
