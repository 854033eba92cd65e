"""What a result must carry so that another can be compared with it: list, data, software, checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mdtk.core.environment import float_settings, versions
from mdtk.core.errors import MdtkError
from mdtk.core.spacing import evenly_spaced
from mdtk.datasets.reader import DatasetReader
from mdtk.datasets.splits import load_split, text_sha256
from mdtk.evaluation.predictors import DepthPredictor
from mdtk.evaluation.scoring.protocols import Protocol


def collect_provenance(
    protocol: Protocol, predictor: DepthPredictor, reader: DatasetReader, indices: Sequence[int]
) -> dict[str, object]:
    """What predicted, the list's origin and checksum, the images' number and format, the data root, versions."""
    return {
        "images": len(indices),
        "images_of_list": len(reader),
        "list": protocol.split,
        "list_origin": list_origin(protocol, reader),
        "list_sha256": text_sha256(reader.lines),
        "image_format": image_format(reader, indices),
        "data_root": str(reader.root),
        "versions": versions(),
        "float_settings": float_settings(),
        "predictions": predictor.describe(),
        "input_frames": list(predictor.frame_offsets),
    }


def list_origin(protocol: Protocol, reader: DatasetReader) -> str:
    """Where the list came from; a sequence's is made from the configuration."""
    try:
        split = load_split(protocol.split, reader.root)
    except MdtkError:
        return "made from the configuration"
    return split.origin if list(split.lines) == reader.lines else "made from the configuration"


def image_format(reader: DatasetReader, indices: Sequence[int], probes: int = 8) -> str:
    """The suffixes of some of the image files, the most frequent first: published numbers depend on JPEG or PNG."""
    places = evenly_spaced(len(indices), probes)
    suffixes = Counter(reader.files(indices[place], [0])[0].suffix.lstrip(".") for place in places)
    return ", ".join(suffix or "none" for suffix, _ in suffixes.most_common())
