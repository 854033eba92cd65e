#!/usr/bin/env python3
"""Shows the depth of what a camera sees, with onnxruntime and OpenCV alone: neither torch nor mdtk is needed.

python examples/camera_depth.py model.onnx [0 | film.mp4] [out.webm]      (mdtk export writes model.onnx; q ends)
"""

import sys

import cv2
import numpy as np
import onnxruntime

model = onnxruntime.InferenceSession(sys.argv[1], providers=onnxruntime.get_available_providers())
height, width = model.get_inputs()[0].shape[2:]
source = sys.argv[2] if len(sys.argv) > 2 else "0"
camera = cv2.VideoCapture(int(source) if source.isdigit() else source)
film, low, high = None, None, None

while True:
    found, picture = camera.read()
    if not found:
        break
    rgb = cv2.cvtColor(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    (disparity,) = model.run(None, {"image": rgb.transpose(2, 0, 1)[None].astype(np.float32) / 255})
    ends = np.percentile(disparity, (2, 98))
    # The range of colours follows slowly, so that they do not flicker.
    low, high = ends if low is None else (0.95 * low + 0.05 * ends[0], 0.95 * high + 0.05 * ends[1])
    grey = np.clip((disparity[0, 0] - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
    colours = cv2.resize(cv2.applyColorMap(grey, cv2.COLORMAP_MAGMA), (picture.shape[1], picture.shape[0]))
    both = np.vstack([picture, colours])
    if len(sys.argv) > 3:
        if film is None:
            film = cv2.VideoWriter(sys.argv[3], cv2.VideoWriter.fourcc(*"VP90"), 20, both.shape[1::-1])
        film.write(both)
    else:
        cv2.imshow("depth: near is bright", both)
        if cv2.waitKey(1) == ord("q"):
            break
if film is not None:
    film.release()
