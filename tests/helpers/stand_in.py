"""A model that predicts from brightness alone, so that every value of its predictions is known."""

from __future__ import annotations

import torch
from torch import Tensor

from mdtk.config import default_config


class StandIn:
    """Scaled disparity = 0.1 + 0.9 × mean of the channels, at the network's size (height 32, width 64)."""

    height, width, checksum = 32, 64, "c0ffee"

    def __init__(self, **data) -> None:
        self.cfg = default_config()
        self.seen: list[Tensor] = []
        for key, value in data.items():
            self.cfg.DATA[key] = value

    def disparity(self, images_b3hw: Tensor) -> Tensor:
        assert images_b3hw.shape[1:] == (3, self.height, self.width)
        assert images_b3hw.dtype == torch.float32
        self.seen.append(images_b3hw)
        return 0.1 + 0.9 * images_b3hw.mean(1, keepdim=True)
