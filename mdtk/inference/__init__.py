"""From a checkpoint and someone's pictures to disparity, depth, point clouds and films."""

from mdtk.inference.images import predict_images, write_sheet
from mdtk.inference.outputs import Saves
from mdtk.inference.predictor import Predictor
from mdtk.inference.scale import DepthScale, depth_scale
from mdtk.inference.video import predict_film

__all__ = ["DepthScale", "Predictor", "Saves", "depth_scale", "predict_film", "predict_images", "write_sheet"]
