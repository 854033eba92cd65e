#!/usr/bin/env bash
# Trains on KITTI raw and evaluates on Eigen's test images after each epoch:  bash run_kitti.sh [KEY VALUE ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tools/run_recipe.sh"

# ---- settings; each can come from the environment ----
KITTI_RAW="$(from_start "${KITTI_RAW:-${MDTK_DATASETS:-$root/datasets}/kitti_raw}")"
CONFIG="${CONFIG:-configs/kitti/monodepth2_mono_640x192.yaml}" # or bdedepth_hrnet18_640x192.yaml, …

need_folder "KITTI raw" "$KITTI_RAW" KITTI_RAW
run_recipe KITTI_RAW "$KITTI_RAW" "$CONFIG" "$@"
