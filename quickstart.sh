#!/usr/bin/env bash
# The main job on generated data, from a bare machine with Python >= 3.10 and a network: render the sample world, train on
# video alone, evaluate on every benchmark, make pictures. About 10 minutes on 2 CPU cores after the installation.
# A second run goes on where the first one stopped, or reuses what is there.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tools/venv.sh"

out="${1:-runs/quickstart}"
export MDTK_DATASETS="${MDTK_DATASETS:-$root/datasets}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
sample="$MDTK_DATASETS/sample"

echo "1/4 sample world"
python tools/make_sample_data.py --output "$sample"

# Two processes, or one where there is one GPU only: two cannot share it.
gpus="$(python -c 'import torch; print(torch.cuda.device_count())')"
launch=(torchrun --standalone --nproc_per_node="$((gpus == 1 ? 1 : 2))")

echo "2/4 training"
"${launch[@]}" tools/train.py OUT_DIR "$out"

echo "3/4 evaluation on unseen drives and the other benchmarks"
"${launch[@]}" tools/evaluate.py --checkpoint "$out/last.pth" --output "$out/evaluation" --report \
    --datasets kitti_eigen kitti_eigen_benchmark nyuv2 make3d cityscapes

echo "4/4 pictures of an unseen drive"
drive="$sample/kitti_raw/$(head -n 1 "$sample/kitti_raw/splits/eigen/test_files.txt" | cut -d ' ' -f 1)/image_02/data"
python tools/test_video.py --image_path "$drive" --checkpoint "$out/last.pth" --output "$out/drive.gif"
python tools/test_simple.py --image_path "$drive" --checkpoint "$out/last.pth" --output "$out/predictions" \
    --sheet "$out/contact_sheet.png" >/dev/null

cat <<EOF

done: results are in $out
  last.pth, best.pth       checkpoints (best: lowest validation loss)
  metrics.jsonl            losses and metrics;  tensorboard --logdir $out  draws them
  evaluation/summary.txt   the table above; per-image CSV, JSON and HTML reports beside it
  drive.gif                a drive that training never saw, input above disparity
  contact_sheet.png        frames of it beside their disparity
EOF
