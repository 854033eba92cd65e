"""An ONNX file as a predictor: one image (B, 3, H, W) in, one map (B, 1, H, W) or (B, H, W) out.

    python tools/evaluate.py --predictor examples/predictors/onnx_file.py:OnnxFile path=model.onnx gives=depth \\
        height=518 width=518 "mean=[0.485, 0.456, 0.406]" "std=[0.229, 0.224, 0.225]" --datasets kitti_eigen
"""

import numpy as np
import onnxruntime


class OnnxFile:
    """The first output of the file for images in 0 … 1, normalised by `mean` and `std`."""

    def __init__(self, path, height, width, gives="disparity", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)) -> None:
        self.gives = gives
        self.input_size = (height, width)
        self.mean, self.std = np.float32(mean), np.float32(std)
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def predict(self, images):
        """(B, H, W, 3) uint8 → (B, h, w)."""
        batch = ((images.astype(np.float32) / 255 - self.mean) / self.std).transpose(0, 3, 1, 2)
        return self.session.run(None, {self.name: np.ascontiguousarray(batch)})[0]
