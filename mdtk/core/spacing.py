"""The one place that chooses a few items spread evenly over many."""

from __future__ import annotations

import numpy as np


def evenly_spaced(count: int, limit: int) -> list[int]:
    """At most `limit` indices of 0 … count−1, evenly spaced, the first and the last among them; `limit` 0: all."""
    if limit <= 0 or limit >= count:
        return list(range(count))
    return sorted({round(place) for place in np.linspace(0, count - 1, limit)})
