"""Where a report's pictures come from: the saved predictions of a result, else the checkpoint that made it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mdtk.config import load_config
from mdtk.core.distributed import pick_device
from mdtk.core.errors import MdtkError, one_line
from mdtk.core.files import is_file
from mdtk.core.guard import reading
from mdtk.datasets.catalogue import absent_reason, build_eval_reader
from mdtk.datasets.reader import DatasetReader
from mdtk.evaluation.eval_config import merged_config
from mdtk.evaluation.predictors import DepthPredictor, FilePredictor, build_model_predictor
from mdtk.evaluation.report.entries import Entry
from mdtk.evaluation.scoring.protocols import Protocol, get_protocol
from mdtk.models import LoadedModel, load_model

PREDICTIONS = "predictions"  # the folder that --save_predictions makes in a result's


@dataclass(frozen=True)
class Source:
    """What shows a result's images: the reader of the benchmark, and the predictor that was scored."""

    protocol: Protocol
    reader: DatasetReader
    predictor: DepthPredictor


Opener = Callable[[Entry], Source]  # raises MdtkError that says why there is none


def protocol_of(entry: Entry) -> Protocol:
    """The protocol that a result was measured under, in its depth range. An unknown one raises `MdtkError`."""
    protocol = get_protocol(str(entry.facts["protocol"]), asker=str(entry.path))
    if entry.facts.get("depth_range_changed"):
        with reading(entry.path, "result", "evaluate again"):
            ends = float(entry.facts["depth_min"]), float(entry.facts["depth_max"] or 0)
        protocol = protocol.with_range(*ends)
    return protocol


class FromDisk:
    """The `Opener` of results that lie on a disk; `config` and `overrides` say where data is that has moved."""

    def __init__(self, config: str = "", overrides: Sequence[str] = ()) -> None:
        self.config, self.overrides = config, list(overrides)
        self._model = functools.lru_cache(maxsize=4)(load_model)

    def __call__(self, entry: Entry) -> Source:
        protocol = protocol_of(entry)
        saved = entry.folder / PREDICTIONS
        model, why = self._loaded(entry)
        if model is None and not saved.is_dir():
            raise MdtkError(f"{entry.label}: no saved predictions (--save_predictions), and {why}")
        reader = self._reader(protocol, entry, model)
        named = zip(entry.result.indices, entry.result.names, strict=True)
        if any(not 0 <= index < len(reader) or one_line(reader.name(index)) != name for index, name in named):
            raise MdtkError(f"{entry.path}: its images are not those of {protocol.split} here; evaluate again")
        if saved.is_dir():
            try:
                kind = str(entry.stored().get("predictions_are", "disparity"))
                predictor: DepthPredictor = FilePredictor(str(saved), kind)
                predictor.predictions(protocol, reader, [])
                return Source(protocol, reader, predictor)
            except MdtkError:
                if model is None:
                    raise
        assert model is not None
        cfg = merged_config(model, self.config, self.overrides)
        offsets = model.input_offsets
        return Source(protocol, reader, build_model_predictor(cfg, model.disparity, model.device, offsets))

    def _loaded(self, entry: Entry) -> tuple[LoadedModel | None, str]:
        path = Path(str(entry.facts.get("checkpoint") or ""))
        # A relative path of another working directory, or a run that was moved: the checksum tells what is the same.
        near = (entry.folder.parent, entry.folder.parent.parent) if path.name else ()
        path = next((place for place in (path, *(folder / path.name for folder in near)) if is_file(place)), path)
        if not is_file(path):
            return None, f"its checkpoint is not there ({path})" if path.name else "it names no checkpoint"
        model = self._model(path, pick_device("auto"))
        if model.checksum != entry.facts.get("checkpoint_sha256"):
            return None, f"{path} is another checkpoint by now"
        return model, ""

    def _reader(self, protocol: Protocol, entry: Entry, model: LoadedModel | None) -> DatasetReader:
        """The reader by the keys of the checkpoint or recipe; where they find no data, by the result's root."""
        if model is not None:
            cfg = merged_config(model, self.config, self.overrides)
        else:
            cfg = load_config(self.config or None, self.overrides)
        root = str(entry.facts.get("data_root") or "")
        if absent_reason(protocol.dataset, cfg) and Path(root).is_dir():
            cfg = load_config(self.config or None, [f"ROOTS.{protocol.dataset.upper()}", root, *self.overrides])
        return build_eval_reader(protocol.dataset, cfg, protocol.split)
