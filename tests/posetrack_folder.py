"""Tiny data sets in the forms of the real releases, written where a test wants them."""

import json
import pathlib

import cv2
import mmpose
import numpy as np
from mmengine.config import Config

SIZE = (64, 48)  # (w, h)
_CONFIGS = pathlib.Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets'
# Parsed once: a data set that reads its metainfo from the file takes a quarter of a second for it
POSETRACK18 = Config.fromfile(_CONFIGS / 'posetrack18.py').dataset_info
COCO = Config.fromfile(_CONFIGS / 'coco.py').dataset_info
JHMDB = Config.fromfile(_CONFIGS / 'jhmdb.py').dataset_info
# A standing person of 17 PoseTrack joints; the ears are never labelled
JOINTS = np.array(
    [
        [30, 8], [30, 12], [30, 4], [0, 0], [0, 0], [34, 14], [26, 14], [36, 20], [24, 20],
        [37, 26], [23, 26], [33, 28], [27, 28], [33, 35], [27, 35], [33, 42], [27, 42],
    ],
    dtype=float,
)  # fmt: skip


def write_image(path: pathlib.Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    """Write noise whose pixels tell images apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), pixels)


def person(image_id: int, track_id: int, shift: float = 0.0) -> dict:
    """One PoseTrack18 annotation; ``shift`` moves the person to the right, in px."""
    joints = JOINTS + (JOINTS > 0).all(1, keepdims=True) * [shift, 0]
    labelled = (JOINTS > 0).all(1)
    keypoints = np.column_stack([joints, labelled])
    return dict(
        id=image_id * 100 + track_id,
        image_id=image_id,
        track_id=track_id,
        category_id=1,
        bbox=[21.0 + shift, 2.0, 18.0, 42.0],
        bbox_head=[26.0 + shift, 3.0, 8.0, 10.0],
        keypoints=keypoints.ravel().tolist(),
        scores=[],
    )


def make_posetrack(
    root: pathlib.Path,
    videos: tuple[str, ...] = ('000001_test', '000002_test'),
    frames: int = 6,
    labelled: tuple[int, ...] = (2, 3),
    digits: int = 6,
    part: str = 'val',
    persons: int = 2,
    seed: int = 0,
) -> dict:
    """Write images, per-video files and a merged file; the merged labels."""
    first = 1 if digits == 8 else 0
    merged = dict(images=[], annotations=[], categories=[dict(id=1, name='person')])
    for video in videos:
        labels = dict(images=[], annotations=[], categories=merged['categories'])
        for frame in range(first, first + frames):
            name = f'images/{part}/{video}/{frame:0{digits}d}.jpg'
            write_image(root / name, seed=seed + 1000 * int(video[:6]) + frame)
            image_id = 10**10 + int(video[:6]) * 10**4 + frame
            labels['images'].append(
                dict(
                    id=image_id, file_name=name, width=SIZE[0], height=SIZE[1], frame_id=image_id,
                    nframes=frames, vid_id=video[:6], is_labeled=frame in labelled,
                )
            )  # fmt: skip
            if frame in labelled:
                labels['annotations'] += [person(image_id, t, 2.0 * t) for t in range(persons)]
        write_json(root / f'annotations/{part}/{video}.json', labels)
        merged['images'] += labels['images']
        merged['annotations'] += labels['annotations']
    write_json(root / f'annotations/{part}.json', merged)
    return merged


def write_json(path: pathlib.Path, content) -> pathlib.Path:
    """Write json, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding='utf-8')
    return path


def make_video(path: pathlib.Path, frames: int, size: tuple[int, int] = SIZE) -> None:
    """Write a video file whose frame f has the grey level 10 f."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10, size)
    assert writer.isOpened()
    for frame in range(frames):
        writer.write(np.full((size[1], size[0], 3), 10 * frame, dtype=np.uint8))
    writer.release()
