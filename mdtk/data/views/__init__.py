"""Views of the target, one module a kind; the base class is `mdtk.core.structures.ViewKind`."""

from mdtk.core.registry import NamedRegistry
from mdtk.core.structures import ViewKind

VIEWS: NamedRegistry[ViewKind] = NamedRegistry("view", home="mdtk.data.views")

__all__ = ["VIEWS", "ViewKind"]
