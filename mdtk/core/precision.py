"""float32 inside autocast, for what bfloat16's eight bits are too few."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(like: Tensor) -> torch.autocast:
    """A context without autocast on the device of `like`; tensors from before it still need `.float()`."""
    return torch.autocast(like.device.type, enabled=False)
