#!/usr/bin/env bash
# How star_pose_tiny_64x48.pth was trained; from the project's root; about two hours of one core.
# Needs LSP-Extended in COCO form under data/lspe (docs/data.md says how). Every step resumes.
set -euo pipefail
export OMP_NUM_THREADS=1
pool=work_dirs/pool out=work_dirs/shipped
tiny=configs/star_pose_tiny_64x48_posetrack.py

python tools/make_synthetic_posetrack.py --out data/synthetic --videos 100 --val-videos 20 --frames 40 --seed 0 --ears
python benchmarks/clip_pool.py --synthetic data/synthetic --lspe data/lspe --out $pool --train 14000
python benchmarks/clip_pool.py --synthetic data/synthetic --lspe data/lspe --out ${pool}_borders --train 14000 --frame-borders 0.25 --seed 1

# 1. All parts together, from random weights: the run of the README's accuracy table.
python benchmarks/accuracy.py $tiny --pool $pool --out $out/first --name shipped_first --steps 1200 --batch 8 --val-every 200 --curve-share 4 --cfg-options optim_wrapper.optimizer.lr=1.5e-3
# 2. Once more, with larger batches.
python benchmarks/accuracy.py $tiny --pool $pool --out $out/second --name shipped_second --steps 400 --batch 16 --val-every 100 --curve-share 8 --load-from $out/first/*/iter_1200.pth --cfg-options optim_wrapper.optimizer.lr=1e-3
# 3. Longer, on other samples, in which frames may end beside the person.
python benchmarks/accuracy.py $tiny --pool ${pool}_borders --out $out/third --name shipped --steps 2000 --batch 16 --val-every 500 --curve-share 8 --load-from $out/second/*/iter_400.pth --cfg-options optim_wrapper.optimizer.lr=1e-3

python tools/publish_model.py $out/third/*/iter_2000.pth projects/star_pose/weights/star_pose_tiny_64x48.pth --config $tiny
