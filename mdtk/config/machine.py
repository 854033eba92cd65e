"""The keys of a run that belong to the machine, put into effect."""

from __future__ import annotations

from yacs.config import CfgNode

from mdtk.config.sections import RunSection
from mdtk.core.environment import set_float_settings


def apply_float_settings(cfg: CfgNode) -> None:
    """CUDNN_BENCHMARK, TF32 and DETERMINISTIC, for the whole process: every command that computes calls this first."""
    run = RunSection.of(cfg)
    set_float_settings(run.cudnn_benchmark, run.tf32, run.deterministic)
