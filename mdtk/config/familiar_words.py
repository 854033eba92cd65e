"""The options of Monodepth2's and BDEdepth's scripts, and of their ports, by the tool here that has their purpose."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mdtk.config.familiar import Word

KNOWN = "the checkpoint says it"
FOUND = ".png and .jpg images are both found"


def _dictionary(*words: Word | Iterable[Word]) -> dict[str, Word]:
    flat: list[Word] = []
    for word in words:
        flat += [word] if isinstance(word, Word) else word
    return {word.name: word for word in flat}


def _told(note: str, values: str, *names: str) -> list[Word]:
    """Options that are taken and change nothing, since the answer is known already."""
    return [Word(name, values=values, note=note) for name in names]


_CHECKPOINT = [Word(name, "--checkpoint {}", "1") for name in ("--load_weights_folder", "--pretrained_path")]
# Monodepth2's one list of options has it everywhere; only its test_simple.py, which has no other, takes it for weights.
_SAID = ("--load_weights_folder", "--pretrained_path", "--checkpoint", "--ext_disp_to_eval", "--predictions")
_MODEL_NAME = Word("--model_name", "--checkpoint {}", "1", unless=_SAID)
_NETWORKS = [
    *_told(KNOWN, "1", "--backbone", "--num_layers", "--num_scales", "--pose_model_type", "--pose_model_input"),
    *_told(KNOWN, "+", "--scales", "--frame_ids"),
]
_IMAGES = _told(FOUND, "", "--png", "--jpg")
_LOGS = _told("nothing is logged here", "1", "--log_dir")

PREDICT = _dictionary(
    _CHECKPOINT,
    _MODEL_NAME,
    Word("--pred_metric_depth", "--save_npy --scale stereo"),
    Word("--no_cuda", "--device cpu"),
    Word("--output_path", "--output {}", "1"),
    _NETWORKS,
    Word("--use_stereo", note=KNOWN),
    Word(
        "--min_depth",
        refused="the checkpoint holds its depth range; convert it with MODEL.MIN_DEPTH VALUE to change it",
        values="1",
    ),
)
VIDEO = _dictionary(
    [word for word in PREDICT.values() if word.name not in ("--pred_metric_depth", "--output_path")],
    Word("--output_path", "--output {}", "1"),
    Word("--pred_metric_depth", refused="a film shows disparity; use mdtk predict --save_npy --scale stereo for depth"),
    _told("all images are taken, in natural order", "1", "--ext"),
    _told("the network's input has the checkpoint's size; --width is that of the film", "1", "--height"),
)

_SPLITS = {
    "eigen": "--datasets kitti_eigen",
    "eigen_benchmark": "--datasets kitti_eigen_benchmark",
    "benchmark": "--datasets kitti_benchmark",
    "odom_9": "!use mdtk odometry (tools/evaluate_pose.py) --sequences 09",
    "odom_10": "!use mdtk odometry (tools/evaluate_pose.py) --sequences 10",
    "nyu": "--datasets nyuv2",
    "nyuv2": "--datasets nyuv2",
    "make3d": "--datasets make3d",
    "cityscapes": "--datasets cityscapes",
}
_DEVICES = [
    Word("--no_cuda", "DEVICE cpu"),
    Word("--num_workers", "DATA.WORKERS {}", "1"),
    Word("--batch_size", "EVAL.BATCH_SIZE {}", "1"),
    Word("--height", "DATA.HEIGHT {}", "1"),
    Word("--width", "DATA.WIDTH {}", "1"),
    Word("--eval_out_dir", "--output {}", "1"),
]
EVALUATE = _dictionary(
    _CHECKPOINT,
    Word("--pretrained_path", "--checkpoint {}", "1", note="BDEdepth's own way of scoring is --variant bdedepth"),
    _DEVICES,
    _NETWORKS,
    _IMAGES,
    _LOGS,
    Word("--eval_split", values="1", choices=_SPLITS),
    Word("--data_path", "ROOTS.KITTI_RAW {}", "1"),
    Word("--kitti_path", "ROOTS.KITTI_RAW {} --datasets kitti_eigen --datasets kitti_eigen_benchmark", "1"),
    Word("--make3d_path", "ROOTS.MAKE3D {} --datasets make3d", "1"),
    Word("--cityscapes_path", "ROOTS.CITYSCAPES {} --datasets cityscapes", "1"),
    Word("--nyuv2_path", "ROOTS.NYUV2 {} --datasets nyuv2", "1"),
    Word("--nyu_path", "ROOTS.NYUV2 {} --datasets nyuv2", "1"),
    Word("--ext_disp_to_eval", "--predictions {}", "1"),
    Word("--disable_median_scaling", "--no_median_scaling"),
    Word("--pred_depth_scale_factor", "--scale_factor {}", "1"),
    Word("--save_pred_disps", "--save_predictions"),
    Word("--eval_eigen_to_benchmark", "--datasets kitti_eigen_benchmark"),
    Word("--use_stereo", "--eval_stereo"),
    Word("--min_depth", "MODEL.MIN_DEPTH {}", "1"),
    Word("--max_depth", "MODEL.MAX_DEPTH {}", "1"),
    _MODEL_NAME,
    _told("--datasets says it, or what is there", "1", "--dataset", "--split"),
)
ODOMETRY = _dictionary(
    _CHECKPOINT,
    _DEVICES,
    _NETWORKS,
    _IMAGES,
    _LOGS,
    _MODEL_NAME,
    Word("--data_path", "ROOTS.KITTI_ODOM {}", "1"),
    Word("--kitti_path", "ROOTS.KITTI_ODOM {}", "1"),
    Word("--eval_split", values="1", choices={"odom_9": "--sequences 09", "odom_10": "--sequences 10"}),
    _told("--sequences says it", "1", "--dataset", "--split"),
    _told("every sequence is scored at once, after alignment", "", "--eval_mono", "--eval_stereo"),
)
GROUND_TRUTH = _dictionary(Word("--kitti_path", "--data_path {}", "1"), _IMAGES)
CITYSCAPES = _dictionary(
    Word("--dataset_name", values="1", choices={"cityscapes": "", "kitti_raw_eigen": "!KITTI is read as it is"}),
    Word("--data_path", "--dataset_dir {}", "1"),
    Word("--with_gt", note="ground truth is read from the disparity files by the evaluation"),
)

_TRAIN_SPLITS = {name: re.sub("--datasets (.*)", r"EVAL.PROTOCOLS [\1]", text) for name, text in _SPLITS.items()} | {
    "benchmark": "!the server has its ground truth; train, then mdtk evaluate --datasets kitti_benchmark"
}
_LATER = [  # what Monodepth2's one list of options offers its training, though only its evaluation reads them
    Word(name, values=values, refused=f"give {name} to mdtk evaluate (tools/evaluate.py) after the training")
    for name, values in (
        ("--ext_disp_to_eval", "1"),
        ("--eval_out_dir", "1"),
        ("--save_pred_disps", ""),
        ("--no_eval", ""),
        ("--eval_eigen_to_benchmark", ""),
    )
]
TRAIN = _dictionary(
    Word("--data_path", values="1", note="ROOTS.KITTI_RAW …, by --dataset"),
    Word("--kitti_path", values="1", note="ROOTS.KITTI_RAW …"),
    Word("--log_dir", values="1", note="OUT_DIR <log_dir>/<model_name>"),
    Word("--model_name", values="1", note="OUT_DIR <log_dir>/<model_name>"),
    Word("--exp_name", values="1", note="OUT_DIR <log_dir>/<exp_name>"),
    Word("--split", "DATA.TRAIN_SPLIT {}/train DATA.VAL_SPLIT {}/val", "1"),
    Word(
        "--num_layers",
        values="1",
        note="MODEL.ENCODER resnet… MODEL.POSE_ENCODER resnet…, with --backbone hrnet MODEL.ENCODER hrnet_w…",
    ),
    Word("--backbone", values="1", note="MODEL.ENCODER, with --num_layers; starts from BDEdepth's recipe"),
    Word(
        "--dataset",
        values="1",
        choices={
            "kitti": "DATA.NAME kitti_raw",
            "kitti_odom": "DATA.NAME kitti_odom EVAL.PROTOCOLS []",
            "cityscapes": "",
            "nyu": "",
            "nyuv2": "",
            "kitti_depth": "!it was declared but never trained on; use --dataset kitti",
            "kitti_test": "!it was declared but never trained on; use --dataset kitti",
        },
    ),
    _IMAGES,
    Word("--height", "DATA.HEIGHT {}", "1"),
    Word("--width", "DATA.WIDTH {}", "1"),
    Word("--disparity_smoothness", "LOSS.SMOOTHNESS {}", "1"),
    Word("--scales", "MODEL.SCALES [{}]", "+"),
    Word("--num_scales", values="1", note="MODEL.SCALES [0, …, n - 1]"),
    Word("--min_depth", "MODEL.MIN_DEPTH {}", "1"),
    Word("--max_depth", "MODEL.MAX_DEPTH {}", "1"),
    Word("--use_stereo", "DATA.STEREO true"),
    Word("--frame_ids", values="+", note="DATA.SOURCES [all but the 0]; 0 alone: DATA.SOURCES [] MODEL.POSE none"),
    Word(
        "--batch_size",
        "SOLVER.BATCH_SIZE {}",
        "1",
        note="SOLVER.BATCH_SIZE counts the samples of all processes together",
    ),
    Word("--learning_rate", "SOLVER.LR {}", "1"),
    Word("--num_epochs", "SOLVER.EPOCHS {}", "1"),
    Word("--scheduler_step_size", values="1", note="SOLVER.STEP_EPOCHS [n, 2n, …]"),
    Word("--decay_step", "SOLVER.STEP_EPOCHS [{}]", "+"),
    Word("--decay_rate", "SOLVER.GAMMA {}", "1"),
    Word("--optimizer", values="1", choices={name: f"SOLVER.OPTIMIZER {name}" for name in ("adam", "adamw", "sgd")}),
    Word("--weight_decay", "SOLVER.WEIGHT_DECAY {}", "1"),
    Word("--clip_grad", "SOLVER.CLIP_GRAD {}", "1"),
    Word(
        "--lr_sche_type",
        values="1",
        choices={"step": "SOLVER.SCHEDULE step", "cos": "SOLVER.SCHEDULE cosine", "cosine": "SOLVER.SCHEDULE cosine"},
    ),
    Word("--v1_multiscale", "LOSS.MULTISCALE native"),
    Word("--avg_reprojection", "LOSS.REPROJECTION mean"),
    Word("--disable_automasking", "LOSS.AUTOMASK false"),
    Word("--predictive_mask", "MODEL.PREDICTIVE_MASK true LOSS.AUTOMASK false"),
    Word("--zhou_mask", "MODEL.PREDICTIVE_MASK true LOSS.AUTOMASK false"),
    Word("--no_ssim", "LOSS.SSIM 0"),
    Word(
        "--weights_init",
        values="1",
        choices={"pretrained": "MODEL.PRETRAINED true", "scratch": "MODEL.PRETRAINED false"},
    ),
    Word("--pose_model_input", values="1", choices={"pairs": "MODEL.POSE_INPUT pairs", "all": "MODEL.POSE_INPUT all"}),
    Word(
        "--pose_model_type",
        values="1",
        choices={
            "separate_resnet": "MODEL.POSE separate",
            "shared": "MODEL.POSE shared",
            "posecnn": "MODEL.POSE posecnn",
        },
    ),
    Word("--freeze_bn", "MODEL.FREEZE_BN true"),
    [Word(name, "VIEWS.LOCAL_CROP true") for name in ("--use_local_crop", "--local_crop")],
    [Word(name, "VIEWS.SPLIT_PERMUTE true") for name in ("--use_patch_reshuffle", "--patch_reshuffle")],
    Word("--eta_min", "SOLVER.MIN_LR {}", "1"),
    Word("--no_cuda", "DEVICE cpu"),
    Word("--num_workers", "DATA.WORKERS {}", "1"),
    Word("--seed", "SEED {}", "1"),
    Word("--load_weights_folder", "MODEL.WEIGHTS {}", "1"),
    Word("--pretrained_path", "MODEL.WEIGHTS {}", "1"),
    Word("--models_to_load", values="+", note="MODEL.WEIGHTS_PARTS [depth.encoder, depth.decoder, pose]"),
    Word("--log_frequency", "LOG.PERIOD {}", "1"),
    Word(
        "--save_frequency",
        values="1",
        note="CHECKPOINT.PERIOD … for BDEdepth's batches; Monodepth2's epochs: CHECKPOINT.KEEP_EPOCHS true",
    ),
    Word("--resume", note="the same command resumes by itself (CHECKPOINT.RESUME)"),
    Word("--local_rank", values="1", note="torchrun says it"),
    Word("--post_process", "EVAL.POST_PROCESS true"),
    Word("--eval_mono", "EVAL.ALIGNMENT median"),
    Word("--eval_stereo", "EVAL.ALIGNMENT none"),
    Word("--disable_median_scaling", "EVAL.ALIGNMENT none"),
    Word("--pred_depth_scale_factor", "EVAL.SCALE_FACTOR {}", "1"),
    Word("--eval_split", values="1", choices=_TRAIN_SPLITS),
    _LATER,
    Word("--gpu", refused="set the environment variable CUDA_VISIBLE_DEVICES", values="1"),
)
DICTIONARIES = {
    "train": TRAIN,
    "evaluate": EVALUATE,
    "odometry": ODOMETRY,
    "predict": PREDICT,
    "video": VIDEO,
    "ground_truth": GROUND_TRUTH,
    "cityscapes": CITYSCAPES,
}
