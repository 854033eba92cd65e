"""What a result must carry so that another can be compared with it: list, data, software, checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mdtk.data.family import Family
from mdtk.data.splits import load_split, text_sha256
from mdtk.engine.checkpoint import versions
from mdtk.errors import MdtkError
from mdtk.evaluation.protocols import Protocol


def collect_facts(protocol: Protocol, family: Family, indices: Sequence[int]) -> dict[str, object]:
    """The list's origin and checksum, the images' number and format, the data root, versions."""
    return {
        "images": len(indices),
        "images_of_list": len(family),
        "list": protocol.split,
        "list_origin": list_origin(protocol, family),
        "list_sha256": text_sha256(family.lines),
        "image_format": image_format(family, indices),
        "data_root": str(family.root),
        "versions": versions(),
    }


def list_origin(protocol: Protocol, family: Family) -> str:
    """Where the list came from; a sequence's is made from the configuration."""
    try:
        split = load_split(protocol.split, family.root)
    except MdtkError:
        return "made from the configuration"
    return split.origin if list(split.lines) == family.lines else "made from the configuration"


def image_format(family: Family, indices: Sequence[int], probes: int = 8) -> str:
    """The suffixes of some of the image files, the most frequent first: published numbers depend on JPEG or PNG."""
    places = sorted({int(place) for place in np.linspace(0, len(indices) - 1, probes)})
    suffixes = Counter(family.files(indices[place], [0])[0].suffix.lstrip(".") for place in places)
    return ", ".join(suffix or "none" for suffix, _ in suffixes.most_common())
