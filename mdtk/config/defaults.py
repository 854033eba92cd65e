"""Every configuration key with its default, meaning, unit and choices; `mdtk.config.load` reads and checks them."""

from __future__ import annotations

from yacs.config import CfgNode as Node

_C = Node()
_C.OUT_DIR = "runs/default"  # where checkpoints, logs and results of a training go
_C.SEED = 1  # every random draw follows from it
_C.DEVICE = "auto"  # auto: the GPU of this process when there is one, else the CPU; or cpu, cuda

# -- Data homes, one a dataset; relative paths start at $MDTK_DATASETS, else ./datasets --------------
_C.ROOTS = Node()
_C.ROOTS.KITTI_RAW = "kitti_raw"
_C.ROOTS.KITTI_ODOM = "kitti_odom"
_C.ROOTS.NYUV2 = "nyuv2"
_C.ROOTS.MAKE3D = "make3d"
_C.ROOTS.CITYSCAPES = "cityscapes"  # the official tree (leftImg8bit_sequence, camera, …): evaluation
_C.ROOTS.CITYSCAPES_PREPARED = "cityscapes_prepared"  # what tools/prepare_cityscapes.py wrote: training

PUBLISHED_BASELINE = 0.1  # depth units of the stereo baseline in published trainings, for EVAL.STEREO_SCALE

# -- Training data ----------------------------------------------------------------------------------
_C.DATA = Node()
_C.DATA.NAME = "kitti_raw"  # the dataset: a key of mdtk.datasets.registry.DATASETS
_C.DATA.ROOT = ""  # data root of this set; empty: ROOTS.<dataset>
_C.DATA.TRAIN_SPLIT = "eigen_zhou/train"  # a list that the root carries, a published list of splits/, or a text file
_C.DATA.VAL_SPLIT = "eigen_zhou/val"  # chooses the best checkpoint; empty: no validation
_C.DATA.VAL_LIMIT = 0  # use this many evenly spaced validation entries; 0: all
_C.DATA.HEIGHT = 192  # network input height, pixels, a multiple of 32
_C.DATA.WIDTH = 640  # network input width, pixels, a multiple of 32
_C.DATA.SOURCES = [-1, 1]  # offsets of the source frames, in frames; empty with STEREO: stereo only
_C.DATA.STEREO = False  # add the other camera of the rig as a source
_C.DATA.BASELINE = PUBLISHED_BASELINE  # what the stereo baseline counts in depth units; 0: the rig's true metres
_C.DATA.INTRINSICS = "nominal"  # nominal: the dataset's published constants; calibrated: of each drive and camera
_C.DATA.DEPTH_RANGE = [
    0.0,
    0.0,
]  # this set's own least and greatest depth; 0 0: MODEL.MIN_DEPTH, MODEL.MAX_DEPTH
_C.DATA.WEIGHT = 1.0  # an epoch draws round(WEIGHT × entries) of this set
_C.DATA.SETS = []  # several sets in one run: a list of mappings, each overriding keys of DATA
_C.DATA.WORKERS = 4  # loader processes of each training process; 0: in the process itself
_C.DATA.SEQUENCE = Node()  # for NAME sequence: your own frames
_C.DATA.SEQUENCE.PATHS = []  # folders of frames, or video files
_C.DATA.SEQUENCE.K = []  # fx, fy, cx, cy in pixels (pixel centres at integers); empty with MODEL.LEARN_INTRINSICS
_C.DATA.SEQUENCE.K_SIZE = []  # width, height in pixels of the image that K belongs to
_C.DATA.SEQUENCE.STRIDE = 1  # keep every STRIDE-th frame
_C.DATA.SEQUENCE.MIN_MOTION = 0.0  # leave out targets whose mean absolute change to a source is below this (0..255)
_C.DATA.SEQUENCE.DEPTH = []  # folders of depth PNGs, one a path, same file stems; for evaluation only
_C.DATA.SEQUENCE.DEPTH_SCALE = 1000.0  # PNG value of one metre
_C.DATA.SEQUENCE.VAL_FRACTION = 0.1  # the last part of each sequence is `val`, the rest `train`

# -- Augmentation, on the device --------------------------------------------------------------------
_C.AUGMENT = Node()
_C.AUGMENT.FLIP = 0.5  # probability of a horizontal flip (moves K)
_C.AUGMENT.JITTER = 0.5  # probability of colour jitter
_C.AUGMENT.BRIGHTNESS = 0.2  # factor in 1 ± this
_C.AUGMENT.CONTRAST = 0.2
_C.AUGMENT.SATURATION = 0.2
_C.AUGMENT.HUE = 0.1  # shift in ± this, in turns
_C.AUGMENT.JITTER_PER_FRAME = False  # False: one draw a sample, shared by its frames; True: one a frame (BDEdepth)

# -- Further views of the target (BDEdepth) ---------------------------------------------------------
_C.VIEWS = Node()
_C.VIEWS.LOCAL_CROP = False  # a magnified crop of every frame as a second view
_C.VIEWS.CROP_RATIO = [1.2, 2.0]  # its magnification, uniform
_C.VIEWS.SPLIT_PERMUTE = False  # the target with its parts swapped, as a further view
_C.VIEWS.PERMUTE_RATIO = [0.1, 0.9]  # where it is cut, uniform, as a fraction of width and height

# -- Networks ---------------------------------------------------------------------------------------
_C.MODEL = Node()
_C.MODEL.ENCODER = "resnet18"  # any timm backbone with features_only
_C.MODEL.PRETRAINED = False  # initialise the encoders with timm's ImageNet weights (downloads)
_C.MODEL.CONTEXT_STEM = False  # a further stem at full resolution (BDEdepth)
_C.MODEL.HRNET_FUSE = "nearest"  # how HRNet's branches are upsampled: nearest (timm), bilinear (BDEdepth)
_C.MODEL.DECODER = "skip"  # skip (Monodepth2), grid (BDEdepth)
_C.MODEL.SCALES = [0, 1, 2, 3]  # disparity at 1/2^s of the input, s in this list
_C.MODEL.MIN_DEPTH = 0.1  # depth of sigmoid 1, in the unit of the pose
_C.MODEL.MAX_DEPTH = 100.0  # depth of sigmoid 0
# Monocular training has no unit: what the untrained network says sets it. 0.5 as published; less leaves more room for
# near things before they reach MIN_DEPTH, which short trainings from scratch need.
_C.MODEL.INIT_SIGMOID = 0.5
_C.MODEL.POSE = "separate"  # separate, shared (the depth encoder's features), posecnn, none (stereo only)
_C.MODEL.POSE_ENCODER = "resnet18"  # for separate: any timm backbone
_C.MODEL.POSE_INPUT = "pairs"  # pairs: one pair a source; all: all frames at once
_C.MODEL.PREDICTIVE_MASK = False  # predict an explainability mask a source (Zhou et al. 2017), instead of automask
_C.MODEL.LEARN_INTRINSICS = False  # predict K from the pose features (Gordon et al. 2019) instead of reading it
_C.MODEL.FREEZE_BN = False  # batch-norm statistics stay as they were initialised
_C.MODEL.SYNC_BN = False  # batch-norm statistics over all processes (GPUs)
_C.MODEL.WEIGHTS = ""  # a native or converted checkpoint to start from
_C.MODEL.WEIGHTS_PARTS = []  # only these parts of it (depth, depth.encoder, pose, …); empty: all

# -- Loss -------------------------------------------------------------------------------------------
_C.LOSS = Node()
_C.LOSS.SSIM = 0.85  # share of SSIM in the photometric error, the rest is L1; 0: L1 only
_C.LOSS.REPROJECTION = "min"  # over the sources: min, mean
_C.LOSS.AUTOMASK = True  # leave out pixels that an unwarped source explains better
_C.LOSS.TIE_NOISE = 1e-5  # standard deviation of the noise that breaks ties of the automask
_C.LOSS.MULTISCALE = "full"  # full: every scale is compared at full resolution; native: at its own (Monodepth v1)
_C.LOSS.SMOOTHNESS = 1e-3  # weight of edge-aware smoothness, divided by 2^scale
_C.LOSS.MASK_WEIGHT = 0.2  # weight of the predictive mask's regulariser
_C.LOSS.CONSISTENCY = 0.07  # weight of the depth consistency between views (BDEdepth); needs VIEWS
_C.LOSS.GEOMETRY_CONSISTENCY = 0.0  # weight of SC-Depth's geometry consistency (Bian et al. 2019; published 0.5)
_C.LOSS.ALIGN_CORNERS = True  # True: samples exactly at the pixel; False: the shift of Monodepth2 on torch >= 1.3

# -- Optimisation -----------------------------------------------------------------------------------
_C.SOLVER = Node()
_C.SOLVER.BATCH_SIZE = 12  # samples a step over all processes; a multiple of processes × ACCUMULATE
_C.SOLVER.EPOCHS = 20
_C.SOLVER.MAX_STEPS = 0  # stop after this many steps in all; 0: EPOCHS decide
_C.SOLVER.OPTIMIZER = "adam"  # adam, adamw, sgd
_C.SOLVER.LR = 1e-4
_C.SOLVER.BETAS = [0.9, 0.999]
_C.SOLVER.MOMENTUM = 0.9  # sgd
_C.SOLVER.WEIGHT_DECAY = 0.0
_C.SOLVER.SCHEDULE = "step"  # step, cosine
_C.SOLVER.STEP_EPOCHS = [15]  # step: epochs (counted from 0) from which the rate is multiplied by GAMMA once more
_C.SOLVER.GAMMA = 0.1
_C.SOLVER.MIN_LR = 0.0  # cosine: the rate at the end
_C.SOLVER.WARMUP_STEPS = 0  # the rate rises linearly over this many steps
_C.SOLVER.CLIP_GRAD = 0.0  # greatest gradient norm; 0: no clipping
_C.SOLVER.ACCUMULATE = 1  # a step's batch is cut into this many parts, one after the other
_C.SOLVER.PRECISION = "fp32"  # fp32, bf16 (autocast of the networks; geometry and loss stay fp32)
_C.SOLVER.CHANNELS_LAST = False  # memory format of the networks
_C.SOLVER.EMA = 0.0  # decay of an exponential moving average of the weights, used for evaluation; 0: none

# -- Evaluation -------------------------------------------------------------------------------------
_C.EVAL = Node()
_C.EVAL.PROTOCOLS = []  # rows of mdtk.evaluation.scoring.protocols evaluated at the end of each epoch, e.g. kitti_eigen
_C.EVAL.PERIOD = 1  # every so many epochs, and after the last
_C.EVAL.BATCH_SIZE = 16
_C.EVAL.ALIGNMENT = "auto"  # auto: none with stereo training, else median; or see CHOICES
_C.EVAL.STEREO_SCALE = 5.4  # depth factor of a model trained with stereo at BASELINE 0.1 (KITTI: 0.54 m)
_C.EVAL.SCALE_FACTOR = 1.0  # further factor on predicted depth
_C.EVAL.POST_PROCESS = False  # average with the prediction of the flipped image
_C.EVAL.MIN_DEPTH = 0.0  # metres; with MAX_DEPTH 0: the protocol's range
_C.EVAL.MAX_DEPTH = 0.0
_C.EVAL.LIMIT = 0  # evaluate only so many evenly spaced images in training; 0: all
_C.EVAL.TRIVIAL_FRAMES = 200  # training frames behind the trivial predictor "median map"; 0: leave it out

# -- Logs and checkpoints ---------------------------------------------------------------------------
_C.LOG = Node()
_C.LOG.PERIOD = 50  # steps between readings of the losses (the only time that the device is waited for)
_C.LOG.IMAGES = 4  # samples pictured in TensorBoard each epoch; 0: none
_C.LOG.TENSORBOARD = True
_C.CHECKPOINT = Node()
_C.CHECKPOINT.PERIOD = 500  # steps between checkpoints; each epoch's end has one as well; 0: only those
_C.CHECKPOINT.KEEP_EPOCHS = False  # keep weights_<epoch>.pth of every epoch
_C.CHECKPOINT.RESUME = True  # go on from OUT_DIR/last.pth when it is there

CHOICES: dict[str, tuple] = {
    "DEVICE": ("auto", "cpu", "cuda"),
    "DATA.INTRINSICS": ("nominal", "calibrated"),
    "MODEL.HRNET_FUSE": ("nearest", "bilinear"),
    "MODEL.DECODER": ("skip", "grid"),
    "MODEL.POSE": ("separate", "shared", "posecnn", "none"),
    "MODEL.POSE_INPUT": ("pairs", "all"),
    "LOSS.REPROJECTION": ("min", "mean"),
    "LOSS.MULTISCALE": ("full", "native"),
    "SOLVER.OPTIMIZER": ("adam", "adamw", "sgd"),
    "SOLVER.SCHEDULE": ("step", "cosine"),
    "SOLVER.PRECISION": ("fp32", "bf16"),
    "EVAL.ALIGNMENT": ("auto", "none", "median", "global_median", "scale", "scale_shift"),
}

# What the lists hold; an empty default does not tell.
ELEMENTS: dict[str, type] = {
    "DATA.SOURCES": int,
    "DATA.DEPTH_RANGE": float,
    "DATA.SETS": dict,
    "DATA.SEQUENCE.PATHS": str,
    "DATA.SEQUENCE.K": float,
    "DATA.SEQUENCE.K_SIZE": float,
    "DATA.SEQUENCE.DEPTH": str,
    "VIEWS.CROP_RATIO": float,
    "VIEWS.PERMUTE_RATIO": float,
    "MODEL.SCALES": int,
    "MODEL.WEIGHTS_PARTS": str,
    "SOLVER.BETAS": float,
    "SOLVER.STEP_EPOCHS": int,
    "EVAL.PROTOCOLS": str,
}

# Counts and periods: the least that works.
LEAST: dict[str, int] = {
    **dict.fromkeys(("SOLVER.BATCH_SIZE", "SOLVER.EPOCHS", "SOLVER.ACCUMULATE"), 1),
    **dict.fromkeys(("EVAL.BATCH_SIZE", "EVAL.PERIOD", "LOG.PERIOD"), 1),
    **dict.fromkeys(("DATA.VAL_LIMIT", "DATA.WORKERS", "EVAL.LIMIT", "EVAL.TRIVIAL_FRAMES"), 0),
    **dict.fromkeys(("SOLVER.MAX_STEPS", "SOLVER.WARMUP_STEPS", "LOG.IMAGES", "CHECKPOINT.PERIOD"), 0),
}

# Keys that may differ between a checkpoint and the run that resumes it: where and how it runs, not what it computes.
RUNTIME_KEYS = ("OUT_DIR", "DEVICE", "ROOTS", "DATA.ROOT", "DATA.WORKERS", "EVAL", "LOG", "CHECKPOINT")
