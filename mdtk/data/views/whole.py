"""The whole image: what every training looks at first."""

from __future__ import annotations

from dataclasses import dataclass

from mdtk.data.views import VIEWS, ViewKind


@VIEWS.register("full")
@dataclass(frozen=True)
class WholeImage(ViewKind):
    """The frames as they are."""
