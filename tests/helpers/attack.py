"""A pickle that runs a command, for tests of what refuses it."""

from __future__ import annotations

import os
from pathlib import Path


class Attack:
    """A pickle of this calls os.system, which would leave the file `marker`."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.system, (f"touch '{self.marker}'",)
