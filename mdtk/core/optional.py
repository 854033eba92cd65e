"""Libraries that only some users need: extras of the package, imported when what they are for is asked for."""

from __future__ import annotations

import importlib
from types import ModuleType

from mdtk.core.errors import MdtkError


def optional_module(name: str, purpose: str, install: str) -> ModuleType:
    """The module `name`. Raises `MdtkError` that says what `purpose` needs and that `pip install INSTALL` brings it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MdtkError(f"{purpose} needs {name}, which is not installed: pip install {install}") from error
