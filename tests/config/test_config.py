"""The configuration: recipes, overrides, checks."""

from __future__ import annotations

import dataclasses
import math
import re
import sys

import pytest
import yaml

from mdtk.config import (
    config_from_text,
    data_sets,
    differences,
    dump,
    load_config,
)
from mdtk.config.load import KEYS
from mdtk.config.sections import SECTIONS, LossSection, SequenceSection
from mdtk.core.errors import MdtkError
from mdtk.core.files import ROOT
from mdtk.datasets.catalogue import check_roots


def write(path, **mapping):
    path.write_text(yaml.safe_dump(mapping))
    return path


def test_bases_are_merged_below(tmp_path):
    write(tmp_path / "a.yaml", SOLVER={"LR": 1e-3, "EPOCHS": 3})
    write(tmp_path / "b.yaml", _BASE_="a.yaml", SOLVER={"EPOCHS": 7})
    cfg = load_config(tmp_path / "b.yaml", ["DATA.SOURCES", "[-2, 2]"])
    assert (cfg.SOLVER.LR, cfg.SOLVER.EPOCHS, cfg.DATA.SOURCES) == (1e-3, 7, [-2, 2])
    assert cfg.is_frozen()


def test_a_base_that_comes_with_the_package_is_found(tmp_path):
    path = write(tmp_path / "mine.yaml", _BASE_="sample/monodepth2.yaml", SEED=7)
    cfg = load_config(path)
    assert (cfg.SEED, cfg.ROOTS.KITTI_RAW) == (7, "sample/kitti_raw")
    (tmp_path / "sample").mkdir()
    write(tmp_path / "sample" / "monodepth2.yaml", SEED=8, DATA={"WIDTH": 96})
    assert load_config(path).DATA.WIDTH == 96, "a file beside the recipe comes first"
    write(path, _BASE_="sample/none.yaml")
    with pytest.raises(MdtkError, match=r"mine.yaml: _BASE_ sample/none.yaml not found; give a file beside"):
        load_config(path)


def test_base_circle(tmp_path):
    write(tmp_path / "a.yaml", _BASE_="b.yaml")
    write(tmp_path / "b.yaml", _BASE_="a.yaml")
    with pytest.raises(MdtkError, match="remove the circle"):
        load_config(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["SOLVER.LRR", "1"], "unknown key SOLVER.LRR; the nearest is SOLVER.LR"),
        (["SOLVER.LR", "fast"], "SOLVER.LR takes float .* not str 'fast'"),
        (["SOLVER.EPOCHS", "2.5"], "SOLVER.EPOCHS takes int"),
        (["LOSS.AUTOMASK", "1"], "LOSS.AUTOMASK takes bool"),
        (["SOLVER", "1"], "SOLVER is a group of keys"),
        (["SOLVER.LR"], "has no value"),
        (["DATA.HEIGHT", "200"], "DATA.HEIGHT is 200; it must be a multiple of 32, for example 192"),
        (["MODEL.SCALES", "[1]"], "MODEL.SCALES"),
        (["DATA.NAME", "sequence", "DATA.SEQUENCE.K", "[1, 1, 1, 1]"], "without DATA.SEQUENCE.K_SIZE"),
        (["DATA.SOURCES", "[]"], "needs at least one source"),
        (["MODEL.PREDICTIVE_MASK", "true"], "LOSS.AUTOMASK false"),
        (["LOSS.GEOMETRY_CONSISTENCY", "0.5", "VIEWS.LOCAL_CROP", "true"], "set VIEWS.LOCAL_CROP false"),
        (["DATA.SETS", "[{WIDTH: 320}]"], "share DATA.HEIGHT and DATA.WIDTH"),
    ],
)
def test_bad_values_are_named(pairs, words):
    with pytest.raises(MdtkError, match=words):
        load_config(None, pairs)


def test_bad_yaml(tmp_path):
    (tmp_path / "x.yaml").write_text("SOLVER: [1,\n")
    with pytest.raises(MdtkError, match=r"x\.yaml: not valid YAML"):
        load_config(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["EVAL.PERIOD", "0"], "EVAL.PERIOD is 0; it must be at least 1"),
        (["LOG.PERIOD", "0"], "LOG.PERIOD is 0"),
        (["DATA.VAL_LIMIT", "-1"], "DATA.VAL_LIMIT is -1; it must be at least 0"),
        (["DATA.SOURCES", "[a]"], "DATA.SOURCES is a list of int, it cannot hold 'a'"),
        (["DATA.SOURCES", "[-1.5, 1]"], "cannot hold -1.5"),
        (["SOLVER.STEP_EPOCHS", "[x]"], "SOLVER.STEP_EPOCHS is a list of int"),
        (["SOLVER.BETAS", "[0.9]"], "SOLVER.BETAS is .*2 elements"),
        (["SOLVER.LR", ".nan"], "SOLVER.LR is nan; it must be between 0 and"),
        (["VIEWS.CROP_RATIO", "[2.0]"], "VIEWS.CROP_RATIO is .*it takes 2 elements"),
        (["VIEWS.CROP_RATIO", "[0.5, 0.9]"], "VIEWS.CROP_RATIO"),
        (["VIEWS.CROP_RATIO", "[2.0, 1.2]"], "VIEWS.CROP_RATIO"),
        (["VIEWS.PERMUTE_RATIO", "[0.1, 1.5]"], "VIEWS.PERMUTE_RATIO is .*between 0 and 1"),
        (["DATA.DEPTH_RANGE", "[10, 1]"], "DATA.DEPTH_RANGE is .*minimum and maximum"),
        (["DATA.DEPTH_RANGE", "[0.1]"], "DATA.DEPTH_RANGE"),
        (["MODEL.WEIGHTS_PARTS", "[depth]"], "names parts of no file; set MODEL.WEIGHTS"),
        (["MODEL.LEARN_INTRINSICS", "true", "DATA.SOURCES", "[]", "DATA.STEREO", "true"], "LEARN_INTRINSICS looks at"),
        (["DATA.STEREO", "true", "DATA.SETS", "[{}, {BASELINE: 0.0}]"], "BASELINE is 0 .* in some sets only"),
    ],
)
def test_values_that_would_fail_later_are_refused_now(pairs, message):
    with pytest.raises(MdtkError, match=message):
        load_config(None, pairs)


def test_names_that_look_like_numbers():
    assert load_config(None, ["OUT_DIR", "2011_09_26"]).OUT_DIR == "2011_09_26"


def test_every_list_says_what_it_holds():
    assert not [name for name, one in KEYS.items() if isinstance(one.default, tuple) and one.element is None]


def test_every_numeric_key_has_a_range_that_holds_its_default():
    for name, one in KEYS.items():
        numbers = one.default if isinstance(one.default, tuple) else (one.default,)
        numeric = one.element in (int, float) or (type(one.default) in (int, float))
        assert not numeric or (math.isfinite(one.low) and math.isfinite(one.high)), name
        one.check(list(numbers) if isinstance(one.default, tuple) else one.default)


@pytest.mark.parametrize("name", [name for name, one in KEYS.items() if type(one.default) in (int, float)])
@pytest.mark.parametrize("value", ["nan", "inf", "-1e30", "1e30"])
def test_absurd_numbers_are_refused(name, value):
    text = f".{value}" if value in ("nan", "inf") else value
    with pytest.raises(MdtkError, match=re.escape(name)):
        load_config(None, [name, text])


@pytest.mark.parametrize(
    "pair",
    [
        *("SEED -1", "DATA.WEIGHT -1", "AUGMENT.FLIP 7", "LOSS.SSIM 2", "SOLVER.GAMMA -3", "SOLVER.CLIP_GRAD -1"),
        *("EVAL.SCALE_FACTOR -1", "DATA.SEQUENCE.STRIDE 0", "DATA.WORKERS 100000", "DATA.SEQUENCE.VAL_FRACTION 1.0"),
    ],
)
def test_values_out_of_range_are_refused_at_load(pair):
    name, value = pair.split()
    with pytest.raises(MdtkError, match=rf"{name} is {value.rstrip('0').rstrip('.')}.*; it must be"):
        load_config(None, [name, value])


def test_old_names_of_keys_still_load():
    assert config_from_text("EVAL: {TRIVIAL_FRAMES: 7}", "old.pth").EVAL.BASELINE_FRAMES == 7
    assert load_config(None, ["EVAL.TRIVIAL_FRAMES", "7"]).EVAL.BASELINE_FRAMES == 7


def test_roots_are_those_of_registered_readers(tmp_path):
    cfg = load_config(None, ["ROOTS.KITTI_RAW", str(tmp_path), "ROOTS.KITI_RAW", "x"])
    with pytest.raises(
        MdtkError, match=r"ROOTS.KITI_RAW is the root of no dataset reader; the nearest is ROOTS.KITTI_"
    ):
        check_roots(cfg)


def test_a_recipes_plugins_are_imported_and_a_checkpoints_are_not(tmp_path, monkeypatch):
    (tmp_path / "plugin_of_a_recipe.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    text = dump(config_from_text("PLUGINS: [plugin_of_a_recipe]", "stranger.pth"))
    assert "plugin_of_a_recipe" not in sys.modules
    assert config_from_text(text, "stranger.pth").PLUGINS == ["plugin_of_a_recipe"]
    load_config(None, ["PLUGINS", "[plugin_of_a_recipe]"])
    assert "plugin_of_a_recipe" in sys.modules


def test_sections_hold_what_the_tree_holds():
    cfg = load_config(None, ["LOSS.SSIM", "0.5", "DATA.SETS", "[{}, {SEQUENCE: {STRIDE: 3}}]"])
    assert LossSection.of(cfg) == dataclasses.replace(LossSection(), ssim=0.5)
    assert [SequenceSection.of(node, "DATA").stride for node in data_sets(cfg)] == [1, 3]


def test_numbers_as_people_write_them():
    cfg = load_config(None, ["SOLVER.LR", "1e-4", "SOLVER.WEIGHT_DECAY", "0", "LOSS.AUTOMASK", "false"])
    assert (cfg.SOLVER.LR, cfg.SOLVER.WEIGHT_DECAY, cfg.LOSS.AUTOMASK) == (1e-4, 0.0, False)


def test_dump_reads_back():
    cfg = load_config(None, ["DATA.SETS", "[{WEIGHT: 2.0}, {NAME: cityscapes_prepared}]"])
    assert not differences(config_from_text(dump(cfg), "text"), cfg, ignore=())


def test_differences_name_keys_and_leave_out_where_it_runs():
    left, right = load_config(), load_config(None, ["SOLVER.LR", "1e-3", "OUT_DIR", "x", "DATA.WORKERS", "9"])
    assert differences(left, right) == ["SOLVER.LR: 0.0001 != 0.001"]


def test_data_sets_inherit():
    cfg = load_config(None, ["DATA.SETS", "[{WEIGHT: 2}, {NAME: nyuv2, DEPTH_RANGE: [0.1, 10]}]"])
    first, second = data_sets(cfg)
    assert (first.NAME, first.WEIGHT, second.NAME, second.DEPTH_RANGE) == ("kitti_raw", 2.0, "nyuv2", [0.1, 10])


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("configs/*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_recipe_loads(path):
    load_config(path)


def test_every_key_is_read():
    """Every key, or the field of its section, is used outside mdtk/config, or where it is put into effect."""
    paths = [path for path in ROOT.glob("mdtk/**/*.py") if path.parent.name != "config" or path.stem == "machine"]
    source = "".join(path.read_text() for path in [*paths, *ROOT.glob("tools/*.py")])
    fields = {one.name: field for section in SECTIONS for field, one in section.all_keys()}
    names = {name: (name.rpartition(".")[2], fields[name]) for name in KEYS}
    for name in ("AUGMENT.OTHERS", "VIEWS.OTHERS", "LOSS.OTHERS", "MODEL.INPUT_OFFSETS"):
        names.pop(name)
    assert not [key for key, both in names.items() if not any(re.search(rf"\.{one}\b", source) for one in both)]
