"""A protocol over corrupted images: mCE and mRR as RoboDepth defines them, over the own set or a KITTI-C folder."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text
from mdtk.datasets.image_files import open_rgb
from mdtk.datasets.reader import DatasetReader, Offset
from mdtk.evaluation.benchmark import configuration, evaluate_protocol
from mdtk.evaluation.corruptions import CORRUPTIONS, LEVELS, SET, corrupt
from mdtk.evaluation.eval_config import EvalConfig
from mdtk.evaluation.io.results import align_columns, check_replaced, finite, result_stem
from mdtk.evaluation.predictors import DepthPredictor
from mdtk.evaluation.scoring.evaluator import Evaluation
from mdtk.evaluation.scoring.protocols import NO_TRUTH, Protocol

# The width in pixels at which images are corrupted, as RoboDepth does (640x192): a blur of 10 pixels is half as strong
# on an image twice as wide. Heights are a multiple of 32, for KITTI the published 192. Smaller images stay as they are.
WIDTH, MULTIPLE = 640, 32
ERROR_METRICS = ("abs_rel", "a1")  # that the depth estimation error is made of
# The depth estimation error of Monodepth2-R18 (mono, 640x192) on KITTI-C, mean over levels, as published
BASELINE_CLEAN = 0.119
BASELINE = {
    **{"brightness": 0.130, "dark": 0.280, "fog": 0.155, "frost": 0.277, "snow": 0.511, "contrast": 0.187},
    **{"defocus_blur": 0.244, "glass_blur": 0.242, "motion_blur": 0.216, "zoom_blur": 0.201},
    **{"elastic_transform": 0.129, "color_quant": 0.193, "gaussian_noise": 0.384, "impulse_noise": 0.389},
    **{"shot_noise": 0.340, "iso_noise": 0.388, "pixelate": 0.145, "jpeg_compression": 0.196},
}


class CorruptedReader:
    """A dataset reader whose images are corrupted, all else as it was. `folder` takes them from a KITTI-C instead."""

    def __init__(self, reader: DatasetReader, name: str, level: int, folder: str = "") -> None:
        self._reader, self._name, self._level, self._folder = reader, name, level, folder

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # for copies in loader workers
            raise AttributeError(attribute)
        return getattr(self._reader, attribute)

    def __len__(self) -> int:
        return len(self._reader)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def images(self, index: int, offsets: Sequence[Offset]) -> list[Image.Image]:
        """See `DatasetReader.images`; every frame has noise of its own."""
        if self._folder:
            return [open_rgb(path) for path in self.files(index, offsets)]
        found = []
        for offset, image in zip(offsets, self._reader.images(index, offsets), strict=True):
            seed = f"{self._reader.name(index)}|{offset}"
            found.append(Image.fromarray(corrupt(np.asarray(at_width(image)), self._name, self._level, seed)))
        return found

    def files(self, index: int, offsets: Sequence[Offset]) -> list[Path]:
        """See `DatasetReader.files`; those of the KITTI-C folder where there is one."""
        paths = self._reader.files(index, offsets)
        if not self._folder:
            return paths
        home = Path(self._folder) / self._name / str(self._level)
        home = home / "kitti_data" if (home / "kitti_data").is_dir() else home
        inner = [path.relative_to(self._reader.root).with_suffix("") for path in paths]
        return [
            next(
                (path for suffix in (".png", ".jpg") if (path := home / f"{one}{suffix}").is_file()),
                home / f"{one}.png",
            )
            for one in inner
        ]


def at_width(image: Image.Image) -> Image.Image:
    """The image as it is corrupted: at most `WIDTH` wide."""
    if image.width <= WIDTH:
        return image
    rows = max(1, round(image.height * WIDTH / image.width / MULTIPLE)) * MULTIPLE
    return image.resize((WIDTH, rows), Image.Resampling.LANCZOS)


def error_of(means: Mapping[str, float]) -> float:
    """The depth estimation error, (abs_rel − a1 + 1) / 2."""
    return (means["abs_rel"] - means["a1"] + 1) / 2


def mean_corruption_error(errors: Mapping[str, Sequence[float]]) -> float:
    """mCE in percent of the published Monodepth2's: the mean over corruptions of Σ levels / Σ of its levels."""
    return 100 * float(np.mean([sum(values) / (len(values) * BASELINE[name]) for name, values in errors.items()]))


def mean_resilience(errors: Mapping[str, Sequence[float]], clean: float) -> float:
    """mRR in percent: the mean over corruptions and levels of (1 − error) / (1 − clean error)."""
    return 100 * float(np.mean([np.mean([1 - value for value in values]) / (1 - clean) for values in errors.values()]))


def corruption_names(asked: Sequence[str]) -> list[str]:
    """The corruptions that `asked` names, "all" for all of them; an unknown one is an error."""
    names = list(CORRUPTIONS) if "all" in asked else list(asked)
    for name in names:
        CORRUPTIONS.find(name, "--corruptions")
    return names


def evaluate_corruptions(
    config: EvalConfig,
    protocol: Protocol,
    predictor: DepthPredictor,
    reader: DatasetReader,
    names: Sequence[str],
    folder: str = "",
) -> tuple[dict[str, object], str]:
    """Evaluates clean images and every corruption at every level; gives the result as plain values and as a table.

    `folder` is a published KITTI-C, else the self-made set is made on the fly.
    """
    if protocol.ground_truth == NO_TRUTH:
        raise MdtkError(f"{protocol.key}: corruptions are measured against ground truth; name another of --datasets")
    made_by = configuration(config, protocol, predictor, reader) | {"map_metrics": []}
    made_by |= {"corruptions": list(names), "set": f"KITTI-C, {folder}" if folder else SET}
    if not config.overwrite:
        check_replaced(corruptions_path(config, protocol, bool(folder)), made_by)
    if folder and not Path(folder).is_dir():
        raise MdtkError(f"KITTI-C folder not found: {folder}; give the folder that holds brightness/1 …")
    quiet = dataclasses.replace(config, baselines=None, save_predictions=False, map_metrics=(), score=True)
    needed = tuple(name for name in ERROR_METRICS if name not in protocol.metrics)  # Make3D's tables have no a1
    protocol = dataclasses.replace(protocol, metrics=(*protocol.metrics, *needed))

    def evaluated(one: DatasetReader) -> Evaluation:
        return evaluate_protocol(quiet, protocol, predictor, one)[0]

    first = evaluated(reader)
    clean = first.means
    if not math.isfinite(error_of(clean)):
        raise MdtkError(
            f"{protocol.key}: abs_rel is infinite under the alignment {first.scale.alignment}, which leaves depth "
            "unbounded; give another --alignment"
        )
    scores: dict[str, list[dict[str, float]]] = {}
    for name in names:
        corrupted = [CorruptedReader(reader, name, level, folder) for level in LEVELS]
        scores[name] = [evaluated(one).means for one in corrupted]  # type: ignore[arg-type]
    errors = {name: [error_of(one) for one in levels] for name, levels in scores.items()}
    whole = set(names) == set(BASELINE)
    known = {name: values for name, values in errors.items() if name in BASELINE}
    result: dict[str, object] = {
        **first.provenance,
        "configuration": made_by,
        "protocol": protocol.label,
        "set": made_by["set"],
        "baseline": "Monodepth2-R18 mono 640x192 on the published KITTI-C",
        "clean_error": error_of(clean),
        "errors": errors,
        "mCE": mean_corruption_error(known) if known else None,
        "mRR": mean_resilience(errors, error_of(clean)),
        "all_corruptions": whole,
        "metrics": {
            name: {"clean": _finite(clean), "levels": [_finite(one) for one in levels]}
            for name, levels in scores.items()
        },
    }
    return result, _table(result, errors)


def _finite(means: Mapping[str, float]) -> dict[str, float | None]:
    return {name: finite(value) for name, value in means.items()}


def _table(result: Mapping[str, object], errors: Mapping[str, Sequence[float]]) -> str:
    rows = [["corruption", *map(str, LEVELS), "mean", "Monodepth2"]]
    rows += [
        [name, *(f"{value:.3f}" for value in values), f"{np.mean(values):.3f}", f"{BASELINE.get(name, np.nan):.3f}"]
        for name, values in errors.items()
    ]
    part = "" if result["all_corruptions"] else " (of these corruptions only)"
    lines = [f"{result['protocol']}, {result['set']}: depth estimation error, clean {result['clean_error']:.3f}"]
    mce = "" if result["mCE"] is None else f"mCE {result['mCE']:.1f}, "
    return "\n".join([*lines, "", align_columns(rows), "", f"{mce}mRR {result['mRR']:.1f}{part}"])


def corruptions_path(config: EvalConfig, protocol: Protocol, published: bool) -> Path:
    """<folder>/<protocol>_corruptions_<set>.json; `published` says whether the set is a KITTI-C folder."""
    return config.folder / f"{result_stem(protocol)}_corruptions_{'kitti-c' if published else SET}.json"


def write_corruptions(path: Path, result: Mapping[str, object]) -> Path:
    """The result of `evaluate_corruptions` as JSON."""
    write_text(path, json.dumps(result, indent=2, allow_nan=False) + "\n")
    return path
