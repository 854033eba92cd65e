"""From a checkpoint and someone's pictures to disparity, depth, point clouds and films."""

from mdtk.prediction.film import predict_film
from mdtk.prediction.images import predict_images, write_sheet
from mdtk.prediction.outputs import Saves
from mdtk.prediction.predictor import Predictor
from mdtk.prediction.scale import DepthScale, depth_scale

__all__ = ["DepthScale", "Predictor", "Saves", "depth_scale", "predict_film", "predict_images", "write_sheet"]
