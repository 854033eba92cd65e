"""A depth-estimation pipeline of the transformers library as a predictor, for example Depth Anything V2.

    python tools/evaluate.py --predictor examples/predictors/depth_anything_v2.py:DepthAnythingV2 \\
        checkpoint=depth-anything/Depth-Anything-V2-Small-hf --alignment midas --datasets kitti_eigen_benchmark

The relative models give disparity up to scale and shift; the metric ones (…-Metric-Outdoor-…) give depth in metres:
class `DepthAnythingV2Metric` with --alignment none. The weights' licence is their own.
"""

import numpy as np
from PIL import Image
from transformers import pipeline


class DepthAnythingV2:
    """`predicted_depth` of the pipeline, which resizes as the model wants it."""

    gives = "affine_disparity"
    input_size = None

    def __init__(self, checkpoint: str = "depth-anything/Depth-Anything-V2-Small-hf", device: str = "cpu") -> None:
        self.pipeline = pipeline("depth-estimation", model=checkpoint, device=device)

    def predict(self, images):
        """(B, H, W, 3) uint8 → (B, h, w)."""
        found = self.pipeline([Image.fromarray(image) for image in images])
        return np.stack([np.squeeze(np.asarray(one["predicted_depth"], np.float32)) for one in found])


class DepthAnythingV2Metric(DepthAnythingV2):
    """A metric checkpoint of the same pipeline."""

    gives = "depth"
