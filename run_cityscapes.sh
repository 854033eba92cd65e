#!/usr/bin/env bash
# Prepares Cityscapes' sequences once, trains, evaluates on its test images after each epoch:
#   bash run_cityscapes.sh [KEY VALUE ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tools/run_recipe.sh"

# ---- settings; each can come from the environment ----
CITYSCAPES_ROOT="${CITYSCAPES_ROOT:-${MDTK_DATASETS:-$root/datasets}/cityscapes}" # the official tree
PREPARED_ROOT="${PREPARED_ROOT:-${CITYSCAPES_ROOT}_prepared}"
CONFIG="${CONFIG:-configs/cityscapes/bdedepth_resnet18_512x192.yaml}" # or bdedepth_hrnet18_512x192.yaml

need_folder "Cityscapes" "$CITYSCAPES_ROOT" CITYSCAPES_ROOT
python tools/prepare_cityscapes.py --dataset_dir "$CITYSCAPES_ROOT" --dump_root "$PREPARED_ROOT" \
    --img_height 512 --img_width 1024 --seq_length 3 --num_threads "$(nproc)" # skips what is done
run_recipe CITYSCAPES_PREPARED "$PREPARED_ROOT" "$CONFIG" ROOTS.CITYSCAPES "$CITYSCAPES_ROOT" "$@"
