"""Every configuration key with its default, meaning, unit, choices and range; each section is one frozen dataclass.

`LossSection.of(cfg)` reads a section from the tree, and builders pass its fields on as arguments. No default is stated
anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mdtk.config.keys import MOST, Section, key

PUBLISHED_BASELINE = 0.1  # the stereo baseline of published trainings, in units of depth; see EVAL.STEREO_SCALE
_SHARE = {"low": 0.0, "high": 1.0}
_WEIGHT = {"low": 0.0, "high": 1e3}
_COUNT = {"low": 0, "high": MOST}
_SIZE = {"low": 32, "high": 8192}
_DEPTH = {"low": 0.0, "high": 1e6}


@dataclass(frozen=True)
class RunSection(Section):
    """Keys of a whole run."""

    out_dir: str = key(
        "OUT_DIR", "runs/default", "the folder of a training's checkpoints, logs and results", runtime=True
    )
    seed: int = key("SEED", 1, "seed of all random numbers", low=0, high=2**31 - 1)
    device: str = key(
        "DEVICE",
        "auto",
        "auto (a GPU when there is one, else the CPU), cpu, or cuda",
        choices=("auto", "cpu", "cuda"),
        runtime=True,
    )
    cudnn_benchmark: bool = key(
        "CUDNN_BENCHMARK", False, "let cuDNN try its kernels and keep the fastest; which one may vary", runtime=True
    )
    tf32: bool = key(
        "TF32", True, "float32 convolutions in TF32 on GPUs, torch's own default; matrix products never", runtime=True
    )
    deterministic: bool = key(
        "DETERMINISTIC", False, "only deterministic kernels, where torch has them; slower on GPUs", runtime=True
    )
    timeout: int = key(
        "TIMEOUT",
        600,
        "seconds without progress of one process after which a run of several ends and names it; 0: wait for ever",
        low=0,
        high=MOST,
        runtime=True,
    )
    plugins: tuple[str, ...] = key(
        "PLUGINS",
        [],
        "modules that register dataset readers, decoders, loss terms …; imported when a recipe or a command line names "
        "them, never because a checkpoint does",
        element=str,
        runtime=True,
    )


@dataclass(frozen=True)
class DataSection(Section):
    """One training set; DATA.SETS describes several."""

    name: str = key("DATA.NAME", "kitti_raw", "name of a dataset reader (mdtk.datasets.catalogue.DATASETS)")
    root: str = key("DATA.ROOT", "", "data root of this set; empty: ROOTS.<NAME>", runtime=True)
    packed: str = key(
        "DATA.PACKED",
        "",
        "folder of a packed copy of the lists (mdtk pack), read in place of the images; empty: the images",
        runtime=True,
    )
    train_split: str = key(
        "DATA.TRAIN_SPLIT", "eigen_zhou/train", "training list: one of the data root, a published one, or a text file"
    )
    val_split: str = key(
        "DATA.VAL_SPLIT", "eigen_zhou/val", "validation list, which chooses the best checkpoint; empty: no validation"
    )
    val_limit: int = key(
        "DATA.VAL_LIMIT", 0, "number of evenly spaced validation entries that are used; 0: all", **_COUNT
    )
    height: int = key("DATA.HEIGHT", 192, "height of the network input in pixels, a multiple of 32", **_SIZE)
    width: int = key("DATA.WIDTH", 640, "width of the network input in pixels, a multiple of 32", **_SIZE)
    sources: tuple[int, ...] = key(
        "DATA.SOURCES",
        [-1, 1],
        "source frames, as offsets in frames from the target; empty with STEREO: stereo only",
        element=int,
        low=-10000,
        high=10000,
    )
    stereo: bool = key("DATA.STEREO", False, "add the other camera of the rig as a source")
    baseline: float = key(
        "DATA.BASELINE",
        PUBLISHED_BASELINE,
        "length of the stereo baseline in units of depth; 0: its true length in metres",
        low=0.0,
        high=1e3,
    )
    intrinsics: str = key(
        "DATA.INTRINSICS",
        "nominal",
        "nominal (constants of the published recipes) or calibrated (those of each drive and camera)",
        choices=("nominal", "calibrated"),
    )
    depth_range: tuple[float, ...] = key(
        "DATA.DEPTH_RANGE",
        [0.0, 0.0],
        "minimum and maximum depth of this set; 0 0: MODEL.MIN_DEPTH and MODEL.MAX_DEPTH",
        element=float,
        lengths=(2,),
        **_DEPTH,
    )
    weight: float = key(
        "DATA.WEIGHT",
        1.0,
        "an epoch takes round(WEIGHT × number of entries) samples of this set",
        low=0.0,
        high=1e3,
        open_low=True,
    )
    sets: tuple[dict[str, Any], ...] = key(
        "DATA.SETS", [], "several training sets: a list of mappings, each overriding keys of DATA", element=dict
    )
    workers: int = key(
        "DATA.WORKERS",
        4,
        "data loader processes of each training process, at most one a CPU; 0: load in the training process",
        low=0,
        high=256,
        runtime=True,
    )
    max_unreadable: int = key(
        "DATA.MAX_UNREADABLE",
        0,
        "samples that cannot be read which each process replaces by the next entry, counts and names; 0: an error",
        runtime=True,
        **_COUNT,
    )


@dataclass(frozen=True)
class SequenceSection(Section):
    """The user's own frames or videos (DATA.NAME sequence)."""

    paths: tuple[str, ...] = key(
        "DATA.SEQUENCE.PATHS", [], "folders of frames, or video files", element=str, runtime=True
    )
    K: tuple[float, ...] = key(
        "DATA.SEQUENCE.K",
        [],
        "fx, fy, cx, cy in pixels (pixel centres at integers); empty: unknown, with MODEL.LEARN_INTRINSICS",
        element=float,
        lengths=(0, 4),
        low=-1e6,
        high=1e6,
    )
    K_size: tuple[float, ...] = key(
        "DATA.SEQUENCE.K_SIZE",
        [],
        "width and height in pixels of the image that K belongs to",
        element=float,
        lengths=(0, 2),
        low=0.0,
        high=1e6,
        open_low=True,
    )
    stride: int = key("DATA.SEQUENCE.STRIDE", 1, "use every STRIDE-th frame", low=1, high=100000)
    min_motion: float = key(
        "DATA.SEQUENCE.MIN_MOTION",
        0.0,
        "leave out targets whose mean absolute grey difference to a source is below this (0..255)",
        low=0.0,
        high=255.0,
    )
    depth: tuple[str, ...] = key(
        "DATA.SEQUENCE.DEPTH",
        [],
        "folders of depth PNGs for evaluation, one for each of PATHS, with the file stems of the frames",
        element=str,
        runtime=True,
    )
    depth_scale: float = key(
        "DATA.SEQUENCE.DEPTH_SCALE", 1000.0, "value of one metre in the depth PNGs", low=0.0, high=1e9, open_low=True
    )
    poses: tuple[str, ...] = key(
        "DATA.SEQUENCE.POSES",
        [],
        "files of camera poses, one for each of PATHS, in KITTI's or TUM's form; empty: poses.txt beside the frames",
        element=str,
        runtime=True,
    )
    val_fraction: float = key(
        "DATA.SEQUENCE.VAL_FRACTION",
        0.1,
        "share of each sequence, at its end, that is the list `val`; the rest is `train`",
        open_high=True,
        **_SHARE,
    )


@dataclass(frozen=True)
class AugmentSection(Section):
    """Augmentation, computed on the device."""

    flip: float = key("AUGMENT.FLIP", 0.5, "probability of a horizontal flip, which also moves K", **_SHARE)
    jitter: float = key("AUGMENT.JITTER", 0.5, "probability of colour jitter", **_SHARE)
    brightness: float = key("AUGMENT.BRIGHTNESS", 0.2, "brightness factor, uniform in 1 ± this", **_SHARE)
    contrast: float = key("AUGMENT.CONTRAST", 0.2, "contrast factor, uniform in 1 ± this", **_SHARE)
    saturation: float = key("AUGMENT.SATURATION", 0.2, "saturation factor, uniform in 1 ± this", **_SHARE)
    hue: float = key("AUGMENT.HUE", 0.1, "hue shift, uniform in ± this; 1 is a full turn", low=0.0, high=0.5)
    jitter_per_frame: bool = key(
        "AUGMENT.JITTER_PER_FRAME",
        False,
        "False: the frames of a sample share their jitter; True: each frame has its own (BDEdepth)",
    )
    others: tuple[dict[str, Any], ...] = key(
        "AUGMENT.OTHERS", [], "further registered augmentations, in order: [{NAME: my_noise, SIGMA: 0.1}]", element=dict
    )


@dataclass(frozen=True)
class ViewsSection(Section):
    """Further views of the target image (BDEdepth)."""

    local_crop: bool = key("VIEWS.LOCAL_CROP", False, "add a magnified crop of every frame as a view")
    crop_ratio: tuple[float, ...] = key(
        "VIEWS.CROP_RATIO",
        [1.2, 2.0],
        "range of the crop's magnification, which is uniform in it",
        element=float,
        lengths=(2,),
        low=1.0,
        high=10.0,
    )
    split_permute: bool = key(
        "VIEWS.SPLIT_PERMUTE", False, "add the target, cut at one point and with its parts swapped, as a view"
    )
    permute_ratio: tuple[float, ...] = key(
        "VIEWS.PERMUTE_RATIO",
        [0.1, 0.9],
        "range of the cut, as a fraction of width and height, uniform in it",
        element=float,
        lengths=(2,),
        **_SHARE,
    )
    others: tuple[dict[str, Any], ...] = key(
        "VIEWS.OTHERS", [], "further registered views, in order: [{NAME: my_view, ANGLE: 5.0}]", element=dict
    )


@dataclass(frozen=True)
class ModelSection(Section):
    """The networks."""

    encoder: str = key(
        "MODEL.ENCODER", "resnet18", "depth encoder: any timm backbone with features_only, or a registered encoder"
    )
    pretrained: bool = key(
        "MODEL.PRETRAINED", False, "initialise the encoders with timm's ImageNet weights (downloads)", runtime=True
    )
    input_offsets: tuple[int, ...] = key(
        "MODEL.INPUT_OFFSETS",
        [0],
        "frames that the depth network sees together, as offsets: 0 (the target) and any of DATA.SOURCES",
        element=int,
        low=-10000,
        high=10000,
    )
    context_stem: bool = key(
        "MODEL.CONTEXT_STEM", False, "add a stem at full resolution beside the depth encoder (BDEdepth)"
    )
    hrnet_fuse: str = key(
        "MODEL.HRNET_FUSE",
        "nearest",
        "upsampling of the branches in an HRNet: nearest (timm) or bilinear (BDEdepth)",
        choices=("nearest", "bilinear"),
    )
    decoder: str = key(
        "MODEL.DECODER", "skip", "depth decoder: skip (Monodepth2), grid (BDEdepth), or a registered decoder"
    )
    scales: tuple[int, ...] = key(
        "MODEL.SCALES",
        [0, 1, 2, 3],
        "disparity is predicted at 1/2^s of the input size for each s in this list",
        element=int,
        low=0,
        high=3,
    )
    min_depth: float = key(
        "MODEL.MIN_DEPTH",
        0.1,
        "depth of sigmoid 1, in the unit of the pose's translation",
        low=0.0,
        high=1e6,
        open_low=True,
    )
    max_depth: float = key("MODEL.MAX_DEPTH", 100.0, "depth of sigmoid 0", low=0.0, high=1e6, open_low=True)
    # Monocular training has no unit of depth: the untrained network's prediction sets it. A smaller sigmoid leaves near
    # things more room before they reach MIN_DEPTH, which short trainings from scratch need.
    init_sigmoid: float = key(
        "MODEL.INIT_SIGMOID",
        0.5,
        "sigmoid that the untrained network predicts everywhere; 0.5 as published",
        open_low=True,
        open_high=True,
        **_SHARE,
    )
    pose: str = key(
        "MODEL.POSE",
        "separate",
        "pose network: separate (own encoder), shared (the depth encoder's features), posecnn; "
        "given: no network, the data's poses in metres; none (stereo only)",
        choices=("separate", "shared", "posecnn", "given", "none"),
    )
    pose_encoder: str = key("MODEL.POSE_ENCODER", "resnet18", "encoder of the separate pose network: any timm backbone")
    pose_input: str = key(
        "MODEL.POSE_INPUT",
        "pairs",
        "pairs (target and one source at a time) or all (all frames at once)",
        choices=("pairs", "all"),
    )
    predictive_mask: bool = key(
        "MODEL.PREDICTIVE_MASK",
        False,
        "predict an explainability mask for each source (Zhou et al. 2017), instead of the automask",
    )
    learn_intrinsics: bool = key(
        "MODEL.LEARN_INTRINSICS",
        False,
        "predict K from the pose features (Gordon et al. 2019) instead of reading it",
    )
    freeze_bn: bool = key("MODEL.FREEZE_BN", False, "keep the batch-norm statistics as they were initialised")
    sync_bn: bool = key("MODEL.SYNC_BN", False, "compute batch-norm statistics over all processes (on GPUs)")
    weights: str = key("MODEL.WEIGHTS", "", "native or converted checkpoint to start from; empty: none", runtime=True)
    weights_parts: tuple[str, ...] = key(
        "MODEL.WEIGHTS_PARTS",
        [],
        "load only these parts of MODEL.WEIGHTS (depth, depth.encoder, pose, …); empty: all",
        element=str,
        runtime=True,
    )


@dataclass(frozen=True)
class LossSection(Section):
    """The photometric error, the further loss terms and their weights."""

    ssim: float = key("LOSS.SSIM", 0.85, "share of SSIM in the photometric error; the rest is L1", **_SHARE)
    reprojection: str = key(
        "LOSS.REPROJECTION", "min", "min or mean of the photometric error over the sources", choices=("min", "mean")
    )
    automask: bool = key(
        "LOSS.AUTOMASK", True, "leave out pixels that an unwarped source explains better than the warped ones"
    )
    tie_noise: float = key(
        "LOSS.TIE_NOISE", 1e-5, "standard deviation of the noise that breaks ties of the automask", **_SHARE
    )
    multiscale: str = key(
        "LOSS.MULTISCALE",
        "full",
        "scales are compared at full resolution (full) or each at its own (native, Monodepth v1)",
        choices=("full", "native"),
    )
    smoothness: float = key(
        "LOSS.SMOOTHNESS", 1e-3, "weight of the edge-aware smoothness, divided by 2^scale", **_WEIGHT
    )
    mask_weight: float = key("LOSS.MASK_WEIGHT", 0.2, "weight of the predictive mask's regulariser", **_WEIGHT)
    consistency: float = key(
        "LOSS.CONSISTENCY",
        0.07,
        "weight of the depth consistency between views (BDEdepth); without further views it does nothing",
        **_WEIGHT,
    )
    geometry_consistency: float = key(
        "LOSS.GEOMETRY_CONSISTENCY",
        0.0,
        "weight of SC-Depth's geometry consistency (Bian et al. 2019; published 0.5)",
        **_WEIGHT,
    )
    align_corners: bool = key(
        "LOSS.ALIGN_CORNERS",
        True,
        "True: warping samples exactly at the pixel; False: with the shift of Monodepth2 on torch >= 1.3",
    )
    others: tuple[dict[str, Any], ...] = key(
        "LOSS.OTHERS", [], "further registered loss terms: [{NAME: my_term, WEIGHT: 0.1}]", element=dict
    )


@dataclass(frozen=True)
class SolverSection(Section):
    """Optimisation."""

    batch_size: int = key(
        "SOLVER.BATCH_SIZE",
        12,
        "samples per step over all processes; where it does not divide, their shares differ by one",
        low=1,
        high=100000,
    )
    batch_per_process: int = key(
        "SOLVER.BATCH_PER_PROCESS",
        0,
        "samples per step of each process, in place of BATCH_SIZE; LR and MIN_LR then grow with the batch (the linear "
        "rule) from those that belong to BATCH_SIZE; 0: BATCH_SIZE is divided among the processes",
        low=0,
        high=100000,
    )
    epochs: int = key("SOLVER.EPOCHS", 20, "number of passes over the training set", low=1, high=MOST)
    max_steps: int = key("SOLVER.MAX_STEPS", 0, "stop after this many steps in all; 0: after EPOCHS", **_COUNT)
    optimizer: str = key("SOLVER.OPTIMIZER", "adam", "adam, adamw or sgd", choices=("adam", "adamw", "sgd"))
    lr: float = key("SOLVER.LR", 1e-4, "learning rate", low=0.0, high=1e6, open_low=True)
    betas: tuple[float, ...] = key(
        "SOLVER.BETAS", [0.9, 0.999], "betas of adam and adamw", element=float, lengths=(2,), open_high=True, **_SHARE
    )
    momentum: float = key("SOLVER.MOMENTUM", 0.9, "momentum of sgd", open_high=True, **_SHARE)
    weight_decay: float = key("SOLVER.WEIGHT_DECAY", 0.0, "weight decay", low=0.0, high=10.0)
    schedule: str = key(
        "SOLVER.SCHEDULE", "step", "schedule of the learning rate: step or cosine", choices=("step", "cosine")
    )
    step_epochs: tuple[int, ...] = key(
        "SOLVER.STEP_EPOCHS",
        [15],
        "step schedule: epochs, counted from 0, at whose start the rate is multiplied by GAMMA",
        element=int,
        **_COUNT,
    )
    gamma: float = key("SOLVER.GAMMA", 0.1, "step schedule: factor on the rate", low=0.0, high=10.0, open_low=True)
    min_lr: float = key("SOLVER.MIN_LR", 0.0, "cosine schedule: the rate at the end", low=0.0, high=1e3)
    warmup_steps: int = key(
        "SOLVER.WARMUP_STEPS", 0, "steps over which the rate rises linearly to that of the schedule", **_COUNT
    )
    clip_grad: float = key("SOLVER.CLIP_GRAD", 0.0, "maximum gradient norm; 0: no clipping", low=0.0, high=1e9)
    accumulate: int = key(
        "SOLVER.ACCUMULATE",
        1,
        "number of parts of a step's batch that are computed one after the other, to save memory",
        low=1,
        high=100000,
        runtime=True,
    )
    precision: str = key(
        "SOLVER.PRECISION",
        "fp32",
        "fp32, or bf16 for the networks under autocast (geometry and losses stay fp32)",
        choices=("fp32", "bf16"),
    )
    compile: str = key(
        "SOLVER.COMPILE",
        "none",
        "none, or what torch.compile makes kernels of: loss, or all (networks and loss; on a CPU the loss, which is "
        "faster there as it is, stays eager); where it fails, the run says why and goes on eagerly",
        choices=("none", "loss", "all"),
        runtime=True,
    )
    channels_last: bool = key("SOLVER.CHANNELS_LAST", False, "use the channels-last memory format in the networks")
    max_not_finite: int = key(
        "SOLVER.MAX_NOT_FINITE",
        10,
        "steps in a row without a finite loss and gradient, which change nothing, after which the run stops",
        low=1,
        high=MOST,
        runtime=True,
    )
    ema: float = key(
        "SOLVER.EMA",
        0.0,
        "decay, such as 0.999, of a moving average of the weights that is used for evaluation; 0: none",
        open_high=True,
        **_SHARE,
    )


@dataclass(frozen=True)
class EvalSection(Section):
    """Evaluation at the end of an epoch."""

    protocols: tuple[str, ...] = key(
        "EVAL.PROTOCOLS",
        [],
        "protocols (mdtk.evaluation.scoring.protocols) that are evaluated, such as kitti_eigen",
        element=str,
        runtime=True,
    )
    period: int = key(
        "EVAL.PERIOD",
        1,
        "epochs between evaluations; the last epoch is always evaluated",
        low=1,
        high=MOST,
        runtime=True,
    )
    batch_size: int = key(
        "EVAL.BATCH_SIZE", 16, "number of images that are predicted together", low=1, high=4096, runtime=True
    )
    alignment: str = key(
        "EVAL.ALIGNMENT",
        "auto",
        "scale alignment, a row of mdtk.evaluation.scoring.alignment; auto: that which the protocol prescribes, "
        "else none after stereo training, else median",
        runtime=True,
    )
    stereo_scale: float = key(
        "EVAL.STEREO_SCALE",
        5.4,
        "factor on depth of a model trained with stereo at BASELINE 0.1 (KITTI's true baseline: 0.54 m)",
        low=0.0,
        high=1e6,
        open_low=True,
        runtime=True,
    )
    scale_factor: float = key(
        "EVAL.SCALE_FACTOR",
        1.0,
        "further factor on the predicted depth",
        low=0.0,
        high=1e6,
        open_low=True,
        runtime=True,
    )
    post_process: bool = key(
        "EVAL.POST_PROCESS", False, "average with the prediction of the flipped image", runtime=True
    )
    min_depth: float = key(
        "EVAL.MIN_DEPTH", 0.0, "minimum depth in metres; 0: that of the protocol", runtime=True, **_DEPTH
    )
    max_depth: float = key(
        "EVAL.MAX_DEPTH", 0.0, "maximum depth in metres; 0: that of the protocol", runtime=True, **_DEPTH
    )
    limit: int = key(
        "EVAL.LIMIT",
        0,
        "number of evenly spaced images that are evaluated during a training; 0: all",
        runtime=True,
        **_COUNT,
    )
    baseline_frames: int = key(
        "EVAL.BASELINE_FRAMES",
        200,
        "number of training frames for the baseline predictor 'median map'; 0: leave it out",
        runtime=True,
        **_COUNT,
    )


@dataclass(frozen=True)
class LogSection(Section):
    """The logs of a training."""

    period: int = key(
        "LOG.PERIOD",
        50,
        "steps between two log entries; only then does the training wait for the device",
        low=1,
        high=MOST,
        runtime=True,
    )
    images: int = key(
        "LOG.IMAGES",
        4,
        "number of samples whose pictures TensorBoard gets in each epoch; 0: none",
        low=0,
        high=1000,
        runtime=True,
    )
    tensorboard: bool = key("LOG.TENSORBOARD", True, "write TensorBoard files", runtime=True)
    csv: bool = key("LOG.CSV", False, "write train.csv and epoch.csv, tables of metrics.jsonl", runtime=True)
    wandb: bool = key(
        "LOG.WANDB",
        False,
        "report to Weights & Biases, whose own variables (WANDB_PROJECT …) say where",
        runtime=True,
    )
    mlflow: bool = key(
        "LOG.MLFLOW",
        False,
        "report to MLflow, whose own variables (MLFLOW_TRACKING_URI …) say where",
        runtime=True,
    )


@dataclass(frozen=True)
class CheckpointSection(Section):
    """The checkpoints of a training."""

    period: int = key(
        "CHECKPOINT.PERIOD",
        500,
        "steps between checkpoints, besides those at the end of each epoch; 0: only those",
        runtime=True,
        **_COUNT,
    )
    keep_epochs: bool = key(
        "CHECKPOINT.KEEP_EPOCHS", False, "keep the weights of every epoch as weights_<epoch>.pth", runtime=True
    )
    resume: bool = key("CHECKPOINT.RESUME", True, "continue from OUT_DIR/last.pth if it exists", runtime=True)
    resume_with_changes: bool = key(
        "CHECKPOINT.RESUME_WITH_CHANGES",
        False,
        "continue though keys or split lists are others than the checkpoint's; the run says which",
        runtime=True,
    )


SECTIONS: tuple[type[Section], ...] = (
    *(RunSection, DataSection, SequenceSection, AugmentSection, ViewsSection, ModelSection, LossSection),
    *(SolverSection, EvalSection, LogSection, CheckpointSection),
)

# Keys that had another name in configurations of older checkpoints: old name → new name.
RENAMED = {"EVAL.TRIVIAL_FRAMES": "EVAL.BASELINE_FRAMES"}
