"""Command lines of Monodepth2 and BDEdepth, as their users type them, work here or say what to type."""

from __future__ import annotations

import shlex

import pytest
import yaml

from mdtk.cli import main as command_line
from mdtk.cli.familiar_table import familiar_tables
from mdtk.cli.options.training_options import familiar_training
from mdtk.config import differences, load_config
from mdtk.config.familiar import Word, gather, translate
from mdtk.config.familiar_training import recipe_text
from mdtk.config.familiar_words import DICTIONARIES
from mdtk.core.errors import MdtkError
from mdtk.core.files import shipped
from tests.helpers.tiny import PROJECT

CONFIGS = shipped("configs")


def recipe_of(line: str):
    """The configuration that a training command becomes, and the text that is printed about it."""
    parser = command_line.COMMANDS["train"].parser("mdtk train")
    words, notice = familiar_training(shlex.split(line), parser)
    args = parser.parse_tool_args(words)
    return load_config(args.config or None, args.overrides), notice


@pytest.mark.parametrize(
    ("line", "recipe"),
    [
        ("--model_name mono_model", "monodepth2_mono_640x192"),
        ("--model_name stereo --frame_ids 0 --use_stereo --split eigen_full", "monodepth2_stereo_640x192"),
        ("--model_name ms --frame_ids 0 -1 1 --use_stereo", "monodepth2_mono_stereo_640x192"),
        ("--model_name np --weights_init scratch --num_epochs 30", "monodepth2_mono_no_pt_640x192"),
        ("--model_name r50 --num_layers 50", "monodepth2_mono_resnet50_640x192"),
        ("--model_name odom --split odom --dataset kitti_odom", "monodepth2_mono_odom_640x192"),
        ("--model_name avg --avg_reprojection", "ablation/avg_reprojection"),
        ("--model_name no --disable_automasking", "ablation/no_automask"),
        ("--model_name v1 --v1_multiscale", "ablation/v1_multiscale"),
        ("--model_name pm --predictive_mask --disable_automasking", "ablation/predictive_mask"),
        ("--model_name base --v1_multiscale --disable_automasking --avg_reprojection", "ablation/baseline"),
        (
            "--dataset kitti --log_dir logs --exp_name mono_kitti --backbone hrnet --num_layers 18 --width 640 "
            "--height 192 --num_scales 1 --batch_size 20 --lr_sche_type step --learning_rate 1e-4 --num_epochs 20 "
            "--decay_step 15 --decay_rate 0.1 --resume --use_local_crop --use_patch_reshuffle",
            "bdedepth_hrnet18_640x192",
        ),
    ],
)
def test_published_commands_become_published_recipes(line, recipe):
    cfg, _ = recipe_of(line)
    assert differences(load_config(CONFIGS / "kitti" / f"{recipe}.yaml"), cfg) == []


def test_bdedepths_scripts_for_nyu_and_cityscapes():
    nyu = "--dataset nyu --backbone hrnet --num_layers 18 --use_local_crop --num_epochs 50 --decay_step 26 36"
    cfg, _ = recipe_of(f"{nyu} --max_depth 10 --batch_size 16 --height 288 --width 384 --data_path /data/nyu")
    assert differences(load_config(CONFIGS / "nyuv2" / "bdedepth_hrnet18_384x288.yaml"), cfg) == []
    assert cfg.ROOTS.NYUV2 == "/data/nyu"
    cfg, _ = recipe_of("--dataset cityscapes --backbone resnet --use_local_crop --use_patch_reshuffle --data_path /cs")
    assert differences(load_config(CONFIGS / "cityscapes" / "bdedepth_resnet18_512x192.yaml"), cfg) == []
    assert cfg.ROOTS.CITYSCAPES_PREPARED == "/cs"
    whole, _ = recipe_of("--backbone hrnet18 --exp_name m")
    assert differences(recipe_of("--backbone hrnet --num_layers 18 --exp_name m")[0], whole, ignore=()) == []


def test_the_printed_recipe_is_the_one_that_runs(tmp_path):
    line = "--model_name m --log_dir /tmp/logs --frame_ids 0 -2 2 --scheduler_step_size 5 --batch_size 4 SOLVER.LR 3e-4"
    cfg, notice = recipe_of(line)
    assert (cfg.OUT_DIR, list(cfg.DATA.SOURCES), list(cfg.SOLVER.STEP_EPOCHS)) == ("/tmp/logs/m", [-2, 2], [5, 10, 15])
    path = tmp_path / "printed.yaml"
    path.write_text(notice.partition("this recipe:\n\n")[2])
    assert differences(load_config(path), cfg, ignore=()) == []
    assert cfg.SOLVER.LR == 3e-4


def test_everything_of_monodepth2_at_once():
    line = (
        "--data_path /kitti --png --disparity_smoothness 1e-2 --scales 0 1 --min_depth 0.2 --max_depth 90 --no_ssim "
        "--pose_model_input all --pose_model_type shared --no_cuda --num_workers 3 --log_frequency 25 --eval_mono "
        "--load_weights_folder /w --models_to_load encoder depth pose --eval_split eigen_benchmark --height 320"
    )
    cfg, _ = recipe_of(line)
    assert (cfg.ROOTS.KITTI_RAW, cfg.LOSS.SMOOTHNESS, list(cfg.MODEL.SCALES)) == ("/kitti", 0.01, [0, 1])
    assert (cfg.MODEL.MIN_DEPTH, cfg.MODEL.MAX_DEPTH, cfg.LOSS.SSIM) == (0.2, 90.0, 0.0)
    assert (cfg.MODEL.POSE, cfg.MODEL.POSE_INPUT, cfg.DEVICE, cfg.DATA.WORKERS) == ("shared", "all", "cpu", 3)
    assert (cfg.LOG.PERIOD, cfg.EVAL.ALIGNMENT, cfg.MODEL.WEIGHTS, cfg.DATA.HEIGHT) == (25, "median", "/w", 320)
    assert list(cfg.MODEL.WEIGHTS_PARTS) == ["depth.encoder", "depth.decoder", "pose.decoder"]
    assert list(cfg.EVAL.PROTOCOLS) == ["kitti_eigen_benchmark"]


def test_own_words_stay_as_they_are():
    words = ["--config", "kitti/monodepth2_mono_640x192.yaml", "SOLVER.LR", "1e-3"]
    parser = command_line.COMMANDS["train"].parser("mdtk train")
    assert familiar_training(words, parser) == (words, "")
    cfg, _ = recipe_of("--config kitti/monodepth2_stereo_640x192.yaml --batch_size 6")
    assert (cfg.SOLVER.BATCH_SIZE, cfg.MODEL.POSE) == (6, "none")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--ext_disp_to_eval a.npy", "mdtk evaluate"),
        ("--dataset kitti_depth", "use --dataset kitti"),
        ("--frame_ids -1 1", "must begin with 0"),
        ("--backbone vgg", "resnet or hrnet"),
        ("--weights_init maybe", "pretrained, scratch"),
        ("--model_name", "takes a value"),
        ("--models_to_load decoder", "encoder, depth"),
        ("--gpu 1", "CUDA_VISIBLE_DEVICES"),
        ("--num_scales zero", "whole number"),
        ("--eval_split odom_9", "mdtk odometry"),
    ],
)
def test_what_has_no_meaning_is_answered(line, words):
    with pytest.raises(MdtkError) as caught:
        recipe_of(line)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def own_words(command: str, line: str):
    """What a command's parser understands of an old command line."""
    one = command_line.COMMANDS.get(command) or command_line.GROUPS["data"][command]
    parser = one.parser("x")
    return parser.parse_tool_args(one._own_words(shlex.split(line), parser)[0], one.keys)


def test_evaluation_of_monodepth2():
    args = own_words(
        "evaluate", "--load_weights_folder ~/m/mono --eval_mono --eval_split eigen --data_path /k --no_cuda"
    )
    assert (args.checkpoint, args.eval_mono, args.datasets) == ("~/m/mono", True, ["kitti_eigen"])
    assert args.overrides == ["ROOTS.KITTI_RAW", "/k", "DEVICE", "cpu"]
    args = own_words("evaluate", "--ext_disp_to_eval d.npy --eval_stereo --eval_eigen_to_benchmark --eval_out_dir out")
    assert (args.predictions, args.output, args.datasets) == ("d.npy", "out", ["kitti_eigen_benchmark"])
    args = own_words(
        "evaluate", "--model_name mono_640x192 --save_pred_disps --no_eval --png --num_layers 18 --batch_size 4"
    )
    assert (args.checkpoint, args.save_predictions, args.no_eval) == ("mono_640x192", True, True)
    assert args.overrides == ["EVAL.BATCH_SIZE", "4"]
    args = own_words("evaluate", "--load_weights_folder m --model_name mono --no_cuda")
    assert args.checkpoint == "m"
    args = own_words("evaluate", "--load_weights_folder m --disable_median_scaling --pred_depth_scale_factor 5.4")
    assert (args.no_median_scaling, args.scale_factor) == (True, "5.4")


def test_evaluation_of_bdedepth():
    line = "--pretrained_path k.pth --backbone hrnet --num_layers 18 --batch_size 12 --width 640 --height 192"
    args = own_words(
        "evaluate", line + " --kitti_path /k --make3d_path /m --nyuv2_path /n --cityscapes_path /c --post_process"
    )
    assert args.datasets == ["kitti_eigen", "kitti_eigen_benchmark", "make3d", "nyuv2", "cityscapes"]
    pairs = dict(zip(args.overrides[::2], args.overrides[1::2], strict=True))
    roots = {"ROOTS.KITTI_RAW": "/k", "ROOTS.MAKE3D": "/m", "ROOTS.NYUV2": "/n", "ROOTS.CITYSCAPES": "/c"}
    assert pairs == {**roots, "DATA.WIDTH": "640", "DATA.HEIGHT": "192", "EVAL.BATCH_SIZE": "12"}
    assert args.post_process


def test_prediction_odometry_and_preparation():
    args = own_words(
        "predict", "--image_path a.jpg --model_name mono+stereo_640x192 --pred_metric_depth --no_cuda --ext png"
    )
    assert (args.checkpoint, args.save_npy, args.scale, args.device) == ("mono+stereo_640x192", True, "stereo", "cpu")
    args = own_words(
        "predict", "--image_path a --pretrained_path w.pth --backbone hrnet --height 192 --width 640 --save_npy"
    )
    assert (args.checkpoint, args.height, args.width) == ("w.pth", 192, 640)
    args = own_words(
        "video", "--image_path a --pretrained_path w.pth --backbone hrnet --height 192 --width 640 --ext png"
    )
    assert (args.checkpoint, args.output) == ("w.pth", None)
    args = own_words("odometry", "--eval_split odom_9 --load_weights_folder m --data_path /o --num_workers 2")
    assert (args.sequences, args.overrides) == (["09"], ["ROOTS.KITTI_ODOM", "/o", "DATA.WORKERS", "2"])
    args = own_words("ground_truth", "--data_path /k --split eigen")
    assert args.output is None
    line = "--dataset_dir /cs --dataset_name cityscapes --dump_root /out --seq_length 3 --img_width 512 --num_threads 4"
    assert own_words("cityscapes", line).img_width == 512


def test_words_of_the_dictionaries_hold():
    """No entry is an option that the tool has itself, and every key that one names is a key."""
    for name, dictionary in DICTIONARIES.items():
        command = command_line.COMMANDS.get(name) or command_line.GROUPS["data"][name]
        own = command.parser("x").options
        clash = sorted(dictionary.keys() & own)
        assert clash in ([], ["--ext"]) or name == "video", (name, clash)
        for word in dictionary.values():
            assert word.here or word.choices or word.refused or word.note, word.name
            assert word.describe()


def test_translate_and_gather():
    dictionary = {"--a": Word("--a", "X.Y [{}]", "+"), "--b": Word("--b", "--c {}", "1")}
    words, met = translate(["--a", "1", "-2", "LR", "3", "--b=4", "--d"], dictionary)
    assert words == ["X.Y", "[1, -2]", "LR", "3", "--c", "4", "--d"]
    assert [one.values for one in met] == [("1", "-2"), ("4",)]
    assert gather(["--x", "a", "LR", "1", "--x", "b", "a"], "--x") == ["--x", "a", "b", "LR", "1"]


def test_recipe_text_nests():
    text = recipe_text("base.yaml", ["A.B.C", "[1, 2]", "A.D", "x"])
    assert yaml.safe_load(text) == {"_BASE_": "base.yaml", "A": {"B": {"C": [1, 2]}, "D": "x"}}


def test_the_dictionary_in_the_documentation_is_this_one():
    page = (PROJECT / "docs" / "coming_from.md").read_text(encoding="utf-8")
    assert page.endswith(familiar_tables()), "write it again: mdtk.cli.familiar_table.familiar_tables()"


def test_the_commands_in_the_documentation_parse():
    page = (PROJECT / "docs" / "coming_from.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("mdtk ")]
    assert len(lines) == 4
    for line in lines:
        _, command, *words = shlex.split(line)
        own_words(command, shlex.join(words))
