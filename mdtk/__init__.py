"""mdtk: a benchmark toolkit for self-supervised monocular depth estimation."""

__version__ = "0.1.0"
