"""Converts published checkpoints: Monodepth2, BDEdepth, the Paddle and GluonCV ports, ImageNet backbones."""

from mdtk.convert.formats import convert, recognise
from mdtk.convert.transfer import ConvertedCheckpoint

__all__ = ["ConvertedCheckpoint", "convert", "recognise"]
