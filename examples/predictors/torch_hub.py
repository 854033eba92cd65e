"""A torch hub model as a predictor, for example MiDaS.

    python tools/evaluate.py --predictor examples/predictors/torch_hub.py:TorchHub repository=intel-isl/MiDaS \\
        model=MiDaS_small height=256 width=832 --alignment midas --datasets kitti_eigen_benchmark

torch.hub downloads and runs the repository's code: name only one that you trust.
"""

import torch


class TorchHub:
    """A model of a hub repository, or of a folder with a hubconf.py (source=local)."""

    def __init__(
        self,
        repository,
        model,
        height,
        width,
        gives="affine_disparity",
        source="github",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        device="cpu",
    ) -> None:
        self.gives = gives
        self.input_size = (height, width)
        self.device = device
        self.mean, self.std = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
        self.model = torch.hub.load(repository, model, source=source).to(device).eval()

    def predict(self, images):
        """(B, H, W, 3) uint8 → (B, h, w)."""
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        return self.model(((batch - self.mean) / self.std).to(self.device))
