"""Every recipe under configs/ loads, builds its networks, and says where its published numbers come from."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
import yaml

from mdtk.config import default_config, load_config, merge_mapping, read_recipe
from mdtk.core.files import ROOT
from mdtk.datasets.catalogue import DATASETS
from mdtk.evaluation.scoring.protocols import PROTOCOLS
from mdtk.models import build_model
from mdtk.models.system import DepthSystem

CONFIGS = ROOT / "configs"
BASES = sorted((CONFIGS / "base").glob("*.yaml"))
PUBLISHED = sorted(path for name in ("kitti", "cityscapes", "nyuv2") for path in (CONFIGS / name).rglob("*.yaml"))


def identify(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


def system_of(path: Path) -> DepthSystem:
    """The recipe's networks without values; recipes that differ elsewhere only share them."""
    cfg = load_config(path, ["MODEL.PRETRAINED", "false", "MODEL.WEIGHTS", "''", "MODEL.WEIGHTS_PARTS", "[]"])
    return _build(cfg.MODEL.dump(), tuple(cfg.DATA.SOURCES), cfg.DATA.STEREO)


@functools.cache
def _build(model: str, sources: tuple[int, ...], stereo: bool) -> DepthSystem:
    cfg = default_config()
    merge_mapping(cfg, {"MODEL": yaml.safe_load(model)}, "test")
    cfg.DATA.SOURCES, cfg.DATA.STEREO = list(sources), stereo
    with torch.device("meta"):
        return build_model(cfg)


@pytest.mark.parametrize("path", PUBLISHED, ids=identify)
def test_recipe_loads_and_builds(path):
    cfg = load_config(path)
    assert cfg.DATA.NAME in DATASETS
    assert set(cfg.EVAL.PROTOCOLS) <= set(PROTOCOLS)
    assert Path(cfg.OUT_DIR) == Path("runs") / path.relative_to(CONFIGS).with_suffix("")
    assert f"{cfg.DATA.WIDTH}x{cfg.DATA.HEIGHT}" in path.stem or path.parent.name == "ablation"
    system = system_of(path)
    assert (system.pose is None) == (cfg.MODEL.POSE == "none")
    text = path.read_text()
    assert text.startswith("# ")
    assert "ublished" in text or path.parent.name == "ablation"
    assert len(text.splitlines()) < 35, "what recipes share belongs into configs/base"


def test_published_results_are_all_there():
    names = {path.stem for path in PUBLISHED}
    for kind in ("mono", "stereo", "mono_stereo"):
        assert {f"monodepth2_{kind}_{size}" for size in ("640x192", "1024x320", "no_pt_640x192")} <= names
    assert {"monodepth2_mono_resnet50_640x192", "monodepth2_mono_odom_640x192"} <= names
    assert {"bdedepth_hrnet18_640x192", "bdedepth_resnet18_640x192"} <= names
    assert {"bdedepth_hrnet18_512x192", "bdedepth_resnet18_512x192", "bdedepth_hrnet18_384x288"} <= names
    assert {"paddle_stage1_640x192", "paddle_stage2_1024x320"} <= names


@pytest.mark.parametrize("path", BASES, ids=identify)
def test_every_base_is_used(path):
    used = [recipe for recipe in PUBLISHED if f"base/{path.name}" in recipe.read_text()]
    assert used
    assert "_BASE_" not in path.read_text(), "bases are combined in the recipes, where they can be seen"


@pytest.mark.parametrize("path", [p for p in PUBLISHED if "WEIGHTS:" in p.read_text()], ids=identify)
def test_second_stages_start_from_what_a_first_stage_writes(path):
    cfg = load_config(path)
    source = CONFIGS / Path(cfg.MODEL.WEIGHTS).parent.relative_to("runs").with_suffix(".yaml")
    first = load_config(source)
    assert Path(cfg.MODEL.WEIGHTS).parent == Path(first.OUT_DIR)
    assert Path(cfg.MODEL.WEIGHTS).name == "best.pth" or (
        first.CHECKPOINT.KEEP_EPOCHS and Path(cfg.MODEL.WEIGHTS).name == "weights_010.pth" and first.SOLVER.EPOCHS >= 10
    )
    shapes = [{n: tuple(t.shape) for n, t in system_of(recipe).state_dict().items()} for recipe in (path, source)]
    assert shapes[0] == shapes[1]


def test_recipes_say_what_differs():
    """The traps of the field, as keys: scheduler order, jitter a frame, the models' heads and depth ranges."""
    monodepth2 = load_config(CONFIGS / "kitti/monodepth2_mono_640x192.yaml")
    assert monodepth2.SOLVER.STEP_EPOCHS == [15]
    assert not monodepth2.AUGMENT.JITTER_PER_FRAME
    assert load_config(CONFIGS / "kitti/paddle_stage1_640x192.yaml").SOLVER.STEP_EPOCHS == [14]
    bdedepth = load_config(CONFIGS / "kitti/bdedepth_hrnet18_640x192.yaml")
    assert bdedepth.AUGMENT.JITTER_PER_FRAME
    assert bdedepth.SOLVER.BATCH_SIZE == 20
    nyu = load_config(CONFIGS / "nyuv2/bdedepth_hrnet18_384x288.yaml")
    assert nyu.MODEL.MAX_DEPTH == 10.0
    assert nyu.VIEWS.LOCAL_CROP
    assert not nyu.VIEWS.SPLIT_PERMUTE
    baseline = read_recipe(CONFIGS / "kitti/ablation/baseline.yaml")["LOSS"]
    assert (baseline["REPROJECTION"], baseline["AUTOMASK"], baseline["MULTISCALE"]) == ("mean", False, "native")
