"""OpenCV's semi-global block matching as a predictor: metric depth from a stereo pair, no learning.

    python tools/evaluate.py --predictor examples/predictors/stereo_sgbm.py:StereoSGBM --alignment none \\
        --datasets kitti_eigen_benchmark DATA.INTRINSICS calibrated
"""

import cv2
import numpy as np


class StereoSGBM:
    """Disparity of the left-right pair in pixels, holes filled from the background, turned into metres."""

    gives = "depth"
    input_size = None
    frames = (0, "s")
    needs_camera = True

    def __init__(self, disparities: int = 128, block: int = 5) -> None:
        self.matcher = cv2.StereoSGBM_create(
            minDisparity=0,
            numDisparities=disparities,
            blockSize=block,
            P1=24 * block * block,
            P2=96 * block * block,
            disp12MaxDiff=1,
            uniquenessRatio=5,
            speckleWindowSize=100,
            speckleRange=2,
            mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
        )
        self.pad = disparities

    def predict(self, images, cameras):
        """(B, 2, H, W, 3) uint8 and their cameras → depth (B, H, W) in metres."""
        return np.stack([self.depth(*pair, camera) for pair, camera in zip(images, cameras, strict=True)])

    def depth(self, image, other, camera):
        """Depth (H, W) of `image`; `other` is the right image for the left camera, and the left one for the right."""
        if camera.side > 0:  # a mirrored right image is the left one of a mirrored pair
            image, other = image[:, ::-1], other[:, ::-1]
        wide = [cv2.copyMakeBorder(one, 0, 0, self.pad, 0, cv2.BORDER_REPLICATE) for one in (image, other)]
        pixels = self.matcher.compute(*wide)[:, self.pad :].astype(np.float32) / 16
        pixels = fill(pixels)
        pixels = pixels[:, ::-1] if camera.side > 0 else pixels
        return camera.K[0, 0] * camera.baseline / np.maximum(pixels, 0.5)


def fill(pixels):
    """Holes (not positive) get the smaller, farther one of the nearest values to their left and right, else above."""
    for _ in range(2):
        known = pixels > 0
        columns = np.arange(pixels.shape[1])
        left = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
        right = np.minimum.accumulate(np.where(known, columns, 10**6)[:, ::-1], axis=1)[:, ::-1]
        rows = np.arange(pixels.shape[0])[:, None]
        from_left = np.where(left >= 0, pixels[rows, np.maximum(left, 0)], np.inf)
        from_right = np.where(right < 10**6, pixels[rows, np.minimum(right, pixels.shape[1] - 1)], np.inf)
        filled = np.where(known, pixels, np.minimum(from_left, from_right))
        pixels = np.where(np.isfinite(filled), filled, 0).T  # the second time along columns, for rows without any value
    return pixels
