"""Reader of DIODE (Vasiljevic et al. 2019), validation: indoor and outdoor scans with validity masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.files import require_file
from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.map_files import load_array
from mdtk.datasets.scanned import ScannedReader, below

PARTS = {"val_indoor": "val/indoors", "val_outdoor": "val/outdoor", "val": "val"}


@dataset_reader("diode")
class Diode(ScannedReader):
    """<root>/val/indoors|outdoor/scene_*/scan_*/<name>.png, <name>_depth.npy (metres) and <name>_depth_mask.npy."""

    hint = "set ROOTS.DIODE or MDTK_DATASETS; see datasets/README.md for the expected tree"

    @classmethod
    def scan(cls, root: Path, part: str) -> list[str]:
        """Every image of val_indoor, val_outdoor, or of both, val."""
        if part not in PARTS:
            raise MdtkError(f"diode has the lists {', '.join(PARTS)}, not {part}")
        return below(root, f"{PARTS[part]}/**/*_depth.npy", "_depth.npy")

    def image_file(self, line: str) -> Path:
        return self.root / f"{line}.png"

    def recording(self, index: int) -> str:
        """See `DatasetReader.recording`: the scene."""
        return "/".join(self.lines[index].split("/")[:-2]) or self.lines[index]

    def ground_truth(self, index: int, kind: str = "") -> np.ndarray:
        """Depth (H, W) float32 in metres, 0 where the mask says that it is not valid."""
        stem = self.inside(self.root / self.lines[index])
        depth, mask = (
            np.squeeze(
                load_array(require_file(Path(f"{stem}_{name}.npy"), "ground truth", "extract DIODE's val again"))
            )
            for name in ("depth", "depth_mask")
        )
        if depth.ndim != 2 or depth.shape != mask.shape:
            raise MdtkError(f"{stem}_depth.npy: is {depth.shape} and its mask {mask.shape}; extract DIODE's val again")
        return np.where(mask > 0, depth, 0).astype(np.float32)
