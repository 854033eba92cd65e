"""Published checkpoints in: Monodepth2, BDEdepth, the Paddle and GluonCV ports, ImageNet backbones."""

from mdtk.interop.convert import convert, recognise
from mdtk.interop.transfer import ConvertedCheckpoint

__all__ = ["ConvertedCheckpoint", "convert", "recognise"]
