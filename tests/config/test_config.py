"""The configuration: recipes, overrides, checks."""

from __future__ import annotations

import pytest
import yaml

from mdtk.config import (
    config_from_text,
    data_sets,
    default_config,
    depth_range,
    differences,
    dump,
    flatten,
    load_config,
    set_of,
)
from mdtk.config.defaults import CHOICES, ELEMENTS, LEAST
from mdtk.core.errors import MdtkError
from mdtk.core.files import ROOT


def write(path, **mapping):
    path.write_text(yaml.safe_dump(mapping))
    return path


def test_bases_are_merged_below(tmp_path):
    write(tmp_path / "a.yaml", SOLVER={"LR": 1e-3, "EPOCHS": 3})
    write(tmp_path / "b.yaml", _BASE_="a.yaml", SOLVER={"EPOCHS": 7})
    cfg = load_config(tmp_path / "b.yaml", ["DATA.SOURCES", "[-2, 2]"])
    assert (cfg.SOLVER.LR, cfg.SOLVER.EPOCHS, cfg.DATA.SOURCES) == (1e-3, 7, [-2, 2])
    assert cfg.is_frozen()


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
        (["MODEL.DECODER", "fancy"], "one of skip, grid"),
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
        (["SOLVER.BETAS", "[0.9]"], "SOLVER.BETAS is .*two numbers"),
        (["SOLVER.LR", ".nan"], "SOLVER.LR is nan; it must be positive"),
        (["VIEWS.CROP_RATIO", "[2.0]"], "VIEWS.CROP_RATIO is .*two numbers, 1 <= low <= high"),
        (["VIEWS.CROP_RATIO", "[0.5, 0.9]"], "VIEWS.CROP_RATIO"),
        (["VIEWS.CROP_RATIO", "[2.0, 1.2]"], "VIEWS.CROP_RATIO"),
        (["VIEWS.PERMUTE_RATIO", "[0.1, 1.5]"], "VIEWS.PERMUTE_RATIO is .*high <= 1"),
        (["DATA.DEPTH_RANGE", "[10, 1]"], "DATA.DEPTH_RANGE is .*least and greatest"),
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
    lists = {key for key, value in flatten(default_config()) if isinstance(value, list)}
    assert lists == ELEMENTS.keys()
    assert not [key for key in LEAST if key not in dict(flatten(default_config()))]


def test_the_set_that_speaks_for_a_reader():
    sets = "[{DEPTH_RANGE: [0.2, 50]}, {NAME: nyuv2, DEPTH_RANGE: [0.1, 10]}, {NAME: cityscapes_prepared}]"
    cfg = load_config(None, ["DATA.SETS", sets])
    assert depth_range(set_of(cfg, "nyuv2"), cfg) == (0.1, 10.0)
    assert depth_range(set_of(cfg, "cityscapes_prepared"), cfg) == (0.1, 100.0)
    assert depth_range(set_of(cfg, "make3d"), cfg) == depth_range(set_of(cfg), cfg) == (0.2, 50.0)


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


def test_choices_name_real_keys_and_defaults_are_among_them():
    flat = dict(flatten(default_config()))
    for key, choices in CHOICES.items():
        assert flat[key] in choices


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("configs/*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_recipe_loads(path):
    load_config(path)


def test_every_key_is_read():
    """No flag that nothing reads: each key's name occurs in the package beside its declaration."""
    source = "".join(
        path.read_text() for path in ROOT.glob("mdtk/**/*.py") if path.name not in ("defaults.py",)
    ) + "".join(path.read_text() for path in ROOT.glob("tools/*.py"))
    loss_keys = {f"LOSS.{key}" for key in default_config().LOSS}  # read together by build_loss_options
    unread = [key for key, _ in flatten(default_config()) if key not in loss_keys and key.split(".")[-1] not in source]
    assert not [key for key in unread if not key.startswith("ROOTS.")]
