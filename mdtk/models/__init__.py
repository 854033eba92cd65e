"""Networks. `build_model` makes them from a recipe, `load_model` opens a checkpoint."""

from mdtk.models.loaded import LoadedModel, load_model
from mdtk.models.system import build_model

__all__ = ["LoadedModel", "build_model", "load_model"]
