"""Every configuration key: its default, meaning, unit, choices and range. One frozen dataclass a section.

`LossSection.of(cfg)` reads a tree; builders hand the fields on as arguments. There is no other default anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from mdtk.config.keys import MOST, Section, key

PUBLISHED_BASELINE = 0.1  # depth units of the stereo baseline in published trainings, for EVAL.STEREO_SCALE
_SHARE = {"low": 0.0, "high": 1.0}
_WEIGHT = {"low": 0.0, "high": 1e3}
_COUNT = {"low": 0, "high": MOST}
_SIZE = {"low": 32, "high": 8192}
_DEPTH = {"low": 0.0, "high": 1e6}


@dataclass(frozen=True)
class RunSection(Section):
    """What concerns a whole run."""

    out_dir: str = key("OUT_DIR", "runs/default", "where checkpoints, logs and results of a training go", runtime=True)
    seed: int = key("SEED", 1, "every random number follows from it", low=0, high=2**31 - 1)
    device: str = key(
        "DEVICE",
        "auto",
        "auto: the GPU of this process when there is one, else the CPU; or cpu, cuda",
        choices=("auto", "cpu", "cuda"),
        runtime=True,
    )
    plugins: tuple[str, ...] = key(
        "PLUGINS",
        [],
        "modules that register datasets, decoders, loss terms … of your own; imported from recipes and command lines, "
        "never because a checkpoint names them",
        element=str,
        runtime=True,
    )


@dataclass(frozen=True)
class DataSection(Section):
    """One training set; DATA.SETS makes several."""

    name: str = key("DATA.NAME", "kitti_raw", "the dataset reader: a name of mdtk.datasets.catalogue.DATASETS")
    root: str = key("DATA.ROOT", "", "data root of this set; empty: ROOTS.<dataset>", runtime=True)
    train_split: str = key(
        "DATA.TRAIN_SPLIT", "eigen_zhou/train", "a list that the root carries, a published list, or a text file"
    )
    val_split: str = key("DATA.VAL_SPLIT", "eigen_zhou/val", "chooses the best checkpoint; empty: no validation")
    val_limit: int = key("DATA.VAL_LIMIT", 0, "use this many evenly spaced validation entries; 0: all", **_COUNT)
    height: int = key("DATA.HEIGHT", 192, "network input height, pixels, a multiple of 32", **_SIZE)
    width: int = key("DATA.WIDTH", 640, "network input width, pixels, a multiple of 32", **_SIZE)
    sources: tuple[int, ...] = key(
        "DATA.SOURCES",
        [-1, 1],
        "offsets of the source frames, in frames; empty with STEREO: stereo only",
        element=int,
        low=-10000,
        high=10000,
    )
    stereo: bool = key("DATA.STEREO", False, "add the other camera of the rig as a source")
    baseline: float = key(
        "DATA.BASELINE",
        PUBLISHED_BASELINE,
        "what the stereo baseline counts in depth units; 0: the rig's true metres",
        low=0.0,
        high=1e3,
    )
    intrinsics: str = key(
        "DATA.INTRINSICS",
        "nominal",
        "nominal: the dataset's published constants; calibrated: of each drive and camera",
        choices=("nominal", "calibrated"),
    )
    depth_range: tuple[float, ...] = key(
        "DATA.DEPTH_RANGE",
        [0.0, 0.0],
        "this set's own minimum and maximum depth; 0 0: MODEL.MIN_DEPTH, MODEL.MAX_DEPTH",
        element=float,
        lengths=(2,),
        **_DEPTH,
    )
    weight: float = key(
        "DATA.WEIGHT", 1.0, "an epoch takes round(WEIGHT × entries) of this set", low=0.0, high=1e3, open_low=True
    )
    sets: tuple[dict, ...] = key(
        "DATA.SETS", [], "several sets in one run: a list of mappings, each overriding keys of DATA", element=dict
    )
    workers: int = key(
        "DATA.WORKERS",
        4,
        "loader processes of each training process; 0: in the process itself",
        low=0,
        high=256,
        runtime=True,
    )


@dataclass(frozen=True)
class SequenceSection(Section):
    """DATA.NAME sequence: frames or videos of your own."""

    paths: tuple[str, ...] = key("DATA.SEQUENCE.PATHS", [], "folders of frames, or video files", element=str)
    K: tuple[float, ...] = key(
        "DATA.SEQUENCE.K",
        [],
        "fx, fy, cx, cy in pixels (pixel centres at integers); empty with MODEL.LEARN_INTRINSICS",
        element=float,
        lengths=(0, 4),
        low=-1e6,
        high=1e6,
    )
    K_size: tuple[float, ...] = key(
        "DATA.SEQUENCE.K_SIZE",
        [],
        "width, height in pixels of the image that K belongs to",
        element=float,
        lengths=(0, 2),
        low=0.0,
        high=1e6,
        open_low=True,
    )
    stride: int = key("DATA.SEQUENCE.STRIDE", 1, "keep every STRIDE-th frame", low=1, high=100000)
    min_motion: float = key(
        "DATA.SEQUENCE.MIN_MOTION",
        0.0,
        "leave out targets whose mean absolute change to a source is below this (0..255)",
        low=0.0,
        high=255.0,
    )
    depth: tuple[str, ...] = key(
        "DATA.SEQUENCE.DEPTH",
        [],
        "folders of depth PNGs, one a path, same file stems; for evaluation only",
        element=str,
    )
    depth_scale: float = key(
        "DATA.SEQUENCE.DEPTH_SCALE", 1000.0, "PNG value of one metre", low=0.0, high=1e9, open_low=True
    )
    val_fraction: float = key(
        "DATA.SEQUENCE.VAL_FRACTION",
        0.1,
        "the last part of each sequence is `val`, the rest `train`",
        open_high=True,
        **_SHARE,
    )


@dataclass(frozen=True)
class AugmentSection(Section):
    """Augmentation, on the device."""

    flip: float = key("AUGMENT.FLIP", 0.5, "probability of a horizontal flip (moves K)", **_SHARE)
    jitter: float = key("AUGMENT.JITTER", 0.5, "probability of colour jitter", **_SHARE)
    brightness: float = key("AUGMENT.BRIGHTNESS", 0.2, "factor in 1 ± this", **_SHARE)
    contrast: float = key("AUGMENT.CONTRAST", 0.2, "factor in 1 ± this", **_SHARE)
    saturation: float = key("AUGMENT.SATURATION", 0.2, "factor in 1 ± this", **_SHARE)
    hue: float = key("AUGMENT.HUE", 0.1, "shift in ± this, in turns", low=0.0, high=0.5)
    jitter_per_frame: bool = key(
        "AUGMENT.JITTER_PER_FRAME",
        False,
        "False: one set of factors a sample, shared by its frames; True: one a frame (BDEdepth)",
    )
    others: tuple[dict, ...] = key(
        "AUGMENT.OTHERS", [], "registered augmentations, in order: [{NAME: my_noise, SIGMA: 0.1}]", element=dict
    )


@dataclass(frozen=True)
class ViewsSection(Section):
    """Further views of the target (BDEdepth)."""

    local_crop: bool = key("VIEWS.LOCAL_CROP", False, "a magnified crop of every frame as a second view")
    crop_ratio: tuple[float, ...] = key(
        "VIEWS.CROP_RATIO", [1.2, 2.0], "its magnification, uniform", element=float, lengths=(2,), low=1.0, high=10.0
    )
    split_permute: bool = key("VIEWS.SPLIT_PERMUTE", False, "the target with its parts swapped, as a further view")
    permute_ratio: tuple[float, ...] = key(
        "VIEWS.PERMUTE_RATIO",
        [0.1, 0.9],
        "where it is cut, uniform, as a fraction of width and height",
        element=float,
        lengths=(2,),
        **_SHARE,
    )
    others: tuple[dict, ...] = key(
        "VIEWS.OTHERS", [], "registered views, in order: [{NAME: my_view, ANGLE: 5.0}]", element=dict
    )


@dataclass(frozen=True)
class ModelSection(Section):
    """Networks."""

    encoder: str = key("MODEL.ENCODER", "resnet18", "any timm backbone with features_only, or a registered encoder")
    pretrained: bool = key(
        "MODEL.PRETRAINED", False, "initialise the encoders with timm's ImageNet weights (downloads)", runtime=True
    )
    input_offsets: tuple[int, ...] = key(
        "MODEL.INPUT_OFFSETS",
        [0],
        "frames that the depth network sees together, as offsets: 0, the target, and any of DATA.SOURCES",
        element=int,
        low=-10000,
        high=10000,
    )
    context_stem: bool = key("MODEL.CONTEXT_STEM", False, "a further stem at full resolution (BDEdepth)")
    hrnet_fuse: str = key(
        "MODEL.HRNET_FUSE",
        "nearest",
        "how HRNet's branches are upsampled: nearest (timm), bilinear (BDEdepth)",
        choices=("nearest", "bilinear"),
    )
    decoder: str = key("MODEL.DECODER", "skip", "skip (Monodepth2), grid (BDEdepth), or a registered decoder")
    scales: tuple[int, ...] = key(
        "MODEL.SCALES", [0, 1, 2, 3], "disparity at 1/2^s of the input, s in this list", element=int, low=0, high=3
    )
    min_depth: float = key(
        "MODEL.MIN_DEPTH", 0.1, "depth of sigmoid 1, in the unit of the pose", low=0.0, high=1e6, open_low=True
    )
    max_depth: float = key("MODEL.MAX_DEPTH", 100.0, "depth of sigmoid 0", low=0.0, high=1e6, open_low=True)
    # Monocular training has no unit: what the untrained network says sets it. Less leaves more room for near things
    # before they reach MIN_DEPTH, which short trainings from scratch need.
    init_sigmoid: float = key(
        "MODEL.INIT_SIGMOID",
        0.5,
        "what the untrained network says everywhere; 0.5 as published",
        open_low=True,
        open_high=True,
        **_SHARE,
    )
    pose: str = key(
        "MODEL.POSE",
        "separate",
        "separate, shared (the depth encoder's features), posecnn, none (stereo only)",
        choices=("separate", "shared", "posecnn", "none"),
    )
    pose_encoder: str = key("MODEL.POSE_ENCODER", "resnet18", "for separate: any timm backbone")
    pose_input: str = key(
        "MODEL.POSE_INPUT",
        "pairs",
        "pairs: one pair a source; all: all frames at once",
        choices=("pairs", "all"),
    )
    predictive_mask: bool = key(
        "MODEL.PREDICTIVE_MASK",
        False,
        "predict an explainability mask a source (Zhou et al. 2017), instead of automask",
    )
    learn_intrinsics: bool = key(
        "MODEL.LEARN_INTRINSICS",
        False,
        "predict K from the pose features (Gordon et al. 2019) instead of reading it",
    )
    freeze_bn: bool = key("MODEL.FREEZE_BN", False, "batch-norm statistics stay as they were initialised")
    sync_bn: bool = key("MODEL.SYNC_BN", False, "batch-norm statistics over all processes (GPUs)")
    weights: str = key("MODEL.WEIGHTS", "", "a native or converted checkpoint to start from", runtime=True)
    weights_parts: tuple[str, ...] = key(
        "MODEL.WEIGHTS_PARTS",
        [],
        "only these parts of it (depth, depth.encoder, pose, …); empty: all",
        element=str,
        runtime=True,
    )


@dataclass(frozen=True)
class LossSection(Section):
    """The photometric error, what joins it, and their weights."""

    ssim: float = key("LOSS.SSIM", 0.85, "share of SSIM in the photometric error, the rest is L1; 0: L1 only", **_SHARE)
    reprojection: str = key("LOSS.REPROJECTION", "min", "over the sources: min, mean", choices=("min", "mean"))
    automask: bool = key("LOSS.AUTOMASK", True, "leave out pixels that an unwarped source explains better")
    tie_noise: float = key(
        "LOSS.TIE_NOISE", 1e-5, "standard deviation of the noise that breaks ties of the automask", **_SHARE
    )
    multiscale: str = key(
        "LOSS.MULTISCALE",
        "full",
        "full: every scale is compared at full resolution; native: at its own (Monodepth v1)",
        choices=("full", "native"),
    )
    smoothness: float = key("LOSS.SMOOTHNESS", 1e-3, "weight of edge-aware smoothness, divided by 2^scale", **_WEIGHT)
    mask_weight: float = key("LOSS.MASK_WEIGHT", 0.2, "weight of the predictive mask's regulariser", **_WEIGHT)
    consistency: float = key(
        "LOSS.CONSISTENCY", 0.07, "weight of the depth consistency between views (BDEdepth); needs VIEWS", **_WEIGHT
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
        "True: samples exactly at the pixel; False: the shift of Monodepth2 on torch >= 1.3",
    )
    others: tuple[dict, ...] = key(
        "LOSS.OTHERS", [], "registered loss terms: [{NAME: my_term, WEIGHT: 0.1}]", element=dict
    )


@dataclass(frozen=True)
class SolverSection(Section):
    """Optimisation."""

    batch_size: int = key(
        "SOLVER.BATCH_SIZE",
        12,
        "samples a step over all processes; a multiple of processes × ACCUMULATE",
        low=1,
        high=100000,
    )
    epochs: int = key("SOLVER.EPOCHS", 20, "how often the training set is gone through", low=1, high=MOST)
    max_steps: int = key("SOLVER.MAX_STEPS", 0, "stop after this many steps in all; 0: EPOCHS decide", **_COUNT)
    optimizer: str = key("SOLVER.OPTIMIZER", "adam", "adam, adamw, sgd", choices=("adam", "adamw", "sgd"))
    lr: float = key("SOLVER.LR", 1e-4, "learning rate", low=0.0, high=1e6, open_low=True)
    betas: tuple[float, ...] = key(
        "SOLVER.BETAS", [0.9, 0.999], "of adam, adamw", element=float, lengths=(2,), open_high=True, **_SHARE
    )
    momentum: float = key("SOLVER.MOMENTUM", 0.9, "of sgd", open_high=True, **_SHARE)
    weight_decay: float = key("SOLVER.WEIGHT_DECAY", 0.0, "decay of the weights", low=0.0, high=10.0)
    schedule: str = key("SOLVER.SCHEDULE", "step", "step, cosine", choices=("step", "cosine"))
    step_epochs: tuple[int, ...] = key(
        "SOLVER.STEP_EPOCHS",
        [15],
        "step: epochs (counted from 0) from which the rate is multiplied by GAMMA once more",
        element=int,
        **_COUNT,
    )
    gamma: float = key("SOLVER.GAMMA", 0.1, "factor of the step schedule", low=0.0, high=10.0, open_low=True)
    min_lr: float = key("SOLVER.MIN_LR", 0.0, "cosine: the rate at the end", low=0.0, high=1e3)
    warmup_steps: int = key("SOLVER.WARMUP_STEPS", 0, "the rate rises linearly over this many steps", **_COUNT)
    clip_grad: float = key("SOLVER.CLIP_GRAD", 0.0, "maximum gradient norm; 0: no clipping", low=0.0, high=1e9)
    accumulate: int = key(
        "SOLVER.ACCUMULATE",
        1,
        "a step's batch is cut into this many parts, one after the other",
        low=1,
        high=100000,
    )
    precision: str = key(
        "SOLVER.PRECISION",
        "fp32",
        "fp32, bf16 (autocast of the networks; geometry and loss stay fp32)",
        choices=("fp32", "bf16"),
    )
    channels_last: bool = key("SOLVER.CHANNELS_LAST", False, "memory format of the networks")
    ema: float = key(
        "SOLVER.EMA",
        0.0,
        "decay of an exponential moving average of the weights, used for evaluation (0.999, say); 0: none",
        open_high=True,
        **_SHARE,
    )


@dataclass(frozen=True)
class EvalSection(Section):
    """Evaluation."""

    protocols: tuple[str, ...] = key(
        "EVAL.PROTOCOLS",
        [],
        "rows of mdtk.evaluation.scoring.protocols evaluated at the end of each epoch, e.g. kitti_eigen",
        element=str,
        runtime=True,
    )
    period: int = key("EVAL.PERIOD", 1, "every so many epochs, and after the last", low=1, high=MOST, runtime=True)
    batch_size: int = key("EVAL.BATCH_SIZE", 16, "images that are predicted together", low=1, high=4096, runtime=True)
    alignment: str = key(
        "EVAL.ALIGNMENT",
        "auto",
        "auto: none with stereo training, else median; or a name of mdtk.evaluation.scoring.alignment",
        choices=("auto", "none", "median", "global_median", "scale", "scale_shift"),
        runtime=True,
    )
    stereo_scale: float = key(
        "EVAL.STEREO_SCALE",
        5.4,
        "depth factor of a model trained with stereo at BASELINE 0.1 (KITTI: 0.54 m)",
        low=0.0,
        high=1e6,
        open_low=True,
        runtime=True,
    )
    scale_factor: float = key(
        "EVAL.SCALE_FACTOR", 1.0, "further factor on predicted depth", low=0.0, high=1e6, open_low=True, runtime=True
    )
    post_process: bool = key(
        "EVAL.POST_PROCESS", False, "average with the prediction of the flipped image", runtime=True
    )
    min_depth: float = key("EVAL.MIN_DEPTH", 0.0, "metres; 0: the protocol's minimum", runtime=True, **_DEPTH)
    max_depth: float = key("EVAL.MAX_DEPTH", 0.0, "metres; 0: the protocol's maximum", runtime=True, **_DEPTH)
    limit: int = key(
        "EVAL.LIMIT", 0, "evaluate only so many evenly spaced images in training; 0: all", runtime=True, **_COUNT
    )
    baseline_frames: int = key(
        "EVAL.BASELINE_FRAMES",
        200,
        "training frames behind the baseline predictor 'median map'; 0: leave it out",
        runtime=True,
        **_COUNT,
    )


@dataclass(frozen=True)
class LogSection(Section):
    """Logs."""

    period: int = key(
        "LOG.PERIOD",
        50,
        "steps between readings of the losses (the only time that the device is waited for)",
        low=1,
        high=MOST,
        runtime=True,
    )
    images: int = key(
        "LOG.IMAGES", 4, "samples pictured in TensorBoard each epoch; 0: none", low=0, high=1000, runtime=True
    )
    tensorboard: bool = key("LOG.TENSORBOARD", True, "write TensorBoard's files", runtime=True)


@dataclass(frozen=True)
class CheckpointSection(Section):
    """Checkpoints."""

    period: int = key(
        "CHECKPOINT.PERIOD",
        500,
        "steps between checkpoints; each epoch's end has one as well; 0: only those",
        runtime=True,
        **_COUNT,
    )
    keep_epochs: bool = key("CHECKPOINT.KEEP_EPOCHS", False, "keep weights_<epoch>.pth of every epoch", runtime=True)
    resume: bool = key("CHECKPOINT.RESUME", True, "go on from OUT_DIR/last.pth when it is there", runtime=True)


SECTIONS: tuple[type[Section], ...] = (
    *(RunSection, DataSection, SequenceSection, AugmentSection, ViewsSection, ModelSection, LossSection),
    *(SolverSection, EvalSection, LogSection, CheckpointSection),
)

# Names of keys in configurations that were written before, as they are called today.
RENAMED = {"EVAL.TRIVIAL_FRAMES": "EVAL.BASELINE_FRAMES"}
