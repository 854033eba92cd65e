"""Whether two predictors differ by more than chance: paired differences, resampled by recording.

Images of a drive are not independent, so whole recordings are drawn (a cluster bootstrap; Cameron, Gelbach and Miller
2008 on clustered data, Efron and Tibshirani 1993 on percentile intervals). With few recordings a percentile interval is
too narrow; it is widened as the t distribution is against the normal one, and by the factor of the sample variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """The mean of b − a over images, its interval over recordings, and the naive interval over single images."""

    mean: float
    low: float
    high: float
    naive_low: float
    naive_high: float
    images: int
    recordings: int

    @property
    def verdict(self) -> str:
        """ "differs" where the interval leaves out 0, "does not differ", or that there is too little to say."""
        if self.low == self.high == 0:
            return "does not differ"  # every image's value is the same
        if self.recordings < 2:
            return "one recording: not enough to say"
        return "differs" if self.low > 0 or self.high < 0 else "does not differ"


def compare_paired(
    a: np.ndarray, b: np.ndarray, recordings: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """The difference b − a of a metric's values per image, (N,) each, of the same images in the same order.

    `recordings` (N,) names the drive or scene of each image. The resampling is seeded, so a result can be repeated.
    """
    difference = np.asarray(b, np.float64) - np.asarray(a, np.float64)
    mean = float(difference.mean())
    names, places = np.unique(np.asarray(recordings), return_inverse=True)
    sums, counts = np.bincount(places, difference), np.bincount(places)
    low, high = _interval(sums, counts, mean, resamples, seed)
    naive = _interval(difference, np.ones(difference.size), mean, resamples, seed)
    return Difference(mean, low, high, *naive, difference.size, len(names))


def _interval(sums: np.ndarray, counts: np.ndarray, mean: float, resamples: int, seed: int) -> tuple[float, float]:
    """The interval of Σ sums / Σ counts when clusters are drawn with replacement."""
    count = sums.size
    if not sums.any():
        return 0.0, 0.0
    if count < 2:
        return -np.inf, np.inf
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, 4_000_000 // count)  # bounds the memory of the drawn indices
    for start in range(0, resamples, step):
        drawn = generator.integers(0, count, (min(step, resamples - start), count))
        means[start : start + step] = sums[drawn].sum(1) / counts[drawn].sum(1)
    tail = (1 - LEVEL) / 2
    wider = stats.t.ppf(1 - tail, count - 1) / stats.norm.ppf(1 - tail) * np.sqrt(count / (count - 1))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(mean + (low - mean) * wider), float(mean + (high - mean) * wider)
