#!/usr/bin/env bash
# How star_pose_tiny_64x48.pth was trained; from the project's root; its steps took
# about 45 minutes on two cores together.
# Needs LSP-Extended in COCO form under data/lspe (docs/data.md says how). Every step resumes.
set -euo pipefail
export OMP_NUM_THREADS=2
pool=work_dirs/pool out=work_dirs/shipped
base=configs/baselines/hr_tiny_256x192_posetrack.py tiny=configs/star_pose_tiny_64x48_posetrack.py

python tools/make_synthetic_posetrack.py --out data/synthetic --videos 100 --val-videos 20 --frames 40 --seed 0 --ears
python benchmarks/clip_pool.py --synthetic data/synthetic --lspe data/lspe --out $pool --train 14000

# 1. The pose network on high-resolution crops.
python benchmarks/accuracy.py $base --pool $pool --out $out/hr --name shipped_hr --steps 1600 --batch 32 --val-every 400
# 2. The front end and the decoder on super-resolution.
python benchmarks/train_sr.py $tiny --pool $pool --out $out/sr.pth --steps 400
# 3. All together.
python benchmarks/accuracy.py $tiny --pool $pool --out $out/all --name shipped --steps 400 --batch 16 --val-every 100 --cfg-options optim_wrapper.optimizer.lr=1e-3 --load-from $out/hr/*/iter_1600.pth $out/sr.pth

python tools/publish_model.py $out/all/*/iter_400.pth projects/star_pose/weights/star_pose_tiny_64x48.pth --config $tiny
