"""What turns a network's depth into metres, and where that factor comes from. Depth is called metric only with one."""

from __future__ import annotations

from dataclasses import dataclass

from yacs.config import CfgNode

from mdtk.config import data_sets
from mdtk.config.sections import PUBLISHED_BASELINE
from mdtk.core.errors import MdtkError


@dataclass(frozen=True)
class DepthScale:
    """Depth = `factor` × the network's depth: in metres when `metric`, else in a unit that nobody knows."""

    factor: float
    metric: bool
    source: str

    @property
    def kind(self) -> str:
        """metric or relative: part of every depth file's name."""
        return "metric" if self.metric else "relative"

    @property
    def unit(self) -> str:
        """The unit of depth, as it is written into files."""
        return "metres" if self.metric else "unknown (monocular training leaves the scale open)"


def depth_scale(cfg: CfgNode, choice: str = "auto") -> DepthScale:
    """The scale of a model trained with `cfg`.

    `choice`: auto (poses or stereo when the model was trained with these, else none), poses, stereo, none, or a number:
    metres in one unit of the network's depth, which the caller has measured.
    """
    trained_with_poses = cfg.MODEL.POSE == "given"
    if choice == "poses" and not trained_with_poses:
        raise MdtkError(
            "--scale poses: this model was trained without the poses of its data (MODEL.POSE given), so none fixes its "
            "scale; give --scale a number (metres in one unit of its depth) or none"
        )
    if choice in ("poses", "auto") and trained_with_poses:
        return DepthScale(1.0, True, "camera poses: trained with their metres (MODEL.POSE given)")
    trained_with_stereo = bool(cfg.DATA.STEREO)
    if choice == "none" or (choice == "auto" and not trained_with_stereo):
        return DepthScale(1.0, False, "none")
    if choice in ("stereo", "auto"):
        if not trained_with_stereo:
            raise MdtkError(
                "--scale stereo: this model was trained without stereo, so no baseline fixes its scale; give --scale a "
                "number (metres in one unit of its depth) or none"
            )
        return _stereo_scale(cfg)
    try:
        factor = float(choice)
    except ValueError as error:
        raise MdtkError(f"--scale takes auto, poses, stereo, none or a number, not '{choice}'") from error
    if not 0 < factor < float("inf"):
        raise MdtkError(f"--scale {choice}: the factor must be positive")
    return DepthScale(factor, True, f"constant factor {factor:g} given by the user")


def _stereo_scale(cfg: CfgNode) -> DepthScale:
    """None for a rig trained in its true metres; else the ratio of its metres to the units they stood for."""
    units = data_sets(cfg)[0].BASELINE  # the sets share one unit
    if units == 0:
        return DepthScale(1.0, True, "stereo baseline: trained in the rig's metres")
    metres = cfg.EVAL.STEREO_SCALE * PUBLISHED_BASELINE
    source = f"stereo baseline: {metres:g} m stood for {units:g} units in training (EVAL.STEREO_SCALE)"
    return DepthScale(metres / units, True, source)
