"""JHMDB's original release, turned into the COCO form of MMPose's Sub-JHMDB files.

Jhuang et al., "Towards understanding action recognition", ICCV 2013.
"""

import collections
import json
import os
import os.path as osp

import numpy as np
import scipy.io
from mmpose.datasets.datasets import JhmdbDataset
from PIL import Image
from tqdm import tqdm

from ..errors import DataNotFoundError, LabelError

__all__ = ['convert_jhmdb']

LAYOUT = """
JHMDB/
  Rename_Images/<action>/<clip>/00001.png
  joint_positions/<action>/<clip>/joint_positions.mat    "pos_img", 2 x 15 x F, counted from 1
  puppet_mask/<action>/<clip>/puppet_mask.mat            "part_mask", H x W x F
  sub_splits/<action>_test_split_1.txt ... _3.txt        lines "<clip>.avi 1" (1 train, 2 test)
"""
NUM_JOINTS = 15
_SPLIT_NAMES = {'1': 'train', '2': 'test'}


def convert_jhmdb(source: str, out: str, splits: str = 'sub_splits') -> dict[str, int]:
    """Write ``annotations/Sub1_train.json`` ... ``Sub3_test.json`` below a folder.

    Coordinates stay as they are in the release, counted from 1, as in MMPose's files;
    ``JhmdbClipDataset`` moves them. A joint outside the image is not labelled. The box is the
    puppet mask's extent. The frames are not copied: use the release's ``Rename_Images`` folder.

    Args:
        source: Folder of the unpacked release.
        out: Folder to write to; may be the source folder.
        splits: Name of the folder with the split files: ``'sub_splits'`` for Sub-JHMDB,
            ``'splits'`` for all clips.

    Returns:
        Number of clips of every file written.

    Raises:
        DataNotFoundError: A part of the release is not there.
        LabelError: A file of the release has another form.
    """
    for part in ('Rename_Images', 'joint_positions', 'puppet_mask', splits):
        if not osp.isdir(osp.join(source, part)):
            raise DataNotFoundError.describe('JHMDB: folder', osp.join(source, part), LAYOUT)
    members = _read_splits(osp.join(source, splits))
    clips = sorted({clip for chosen in members.values() for clip in chosen})
    # A clip keeps its number in all files, so image ids agree between the splits
    numbered = {clip: number for number, clip in enumerate(clips, start=1)}
    labels = {}
    for clip in tqdm(clips, disable=None):
        labels[clip] = _convert_clip(source, *clip, numbered[clip])
    os.makedirs(osp.join(out, 'annotations'), exist_ok=True)
    counts = {}
    for (number, part), chosen in sorted(members.items()):
        name = f'Sub{number}_{part}.json'
        merged = dict(categories=[_category()], images=[], annotations=[])
        for clip in sorted(chosen):
            merged['images'] += labels[clip][0]
            merged['annotations'] += labels[clip][1]
        with open(osp.join(out, 'annotations', name), 'w', encoding='utf-8') as file:
            json.dump(merged, file)
        counts[name] = len(chosen)
    return counts


def _read_splits(folder: str) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Read the split files: (split number, 'train' or 'test') -> (action, clip)."""
    members = collections.defaultdict(list)
    for name in sorted(os.listdir(folder)):
        action, mark, number = name.removesuffix('.txt').rpartition('_test_split')
        if not mark:
            continue
        with open(osp.join(folder, name), encoding='utf-8') as file:
            for line in file:
                clip, _, part = line.strip().rpartition(' ')
                if part in _SPLIT_NAMES:
                    clip = clip.strip().removesuffix('.avi')
                    members[number.lstrip('_'), _SPLIT_NAMES[part]].append((action, clip))
    if not members:
        raise LabelError(f'{folder} has no file "<action>_test_split_<n>.txt" that lists a clip')
    return members


def _convert_clip(
    source: str, action: str, clip: str, number: int
) -> tuple[list[dict], list[dict]]:
    positions = _load(source, 'joint_positions', action, clip, 'pos_img')
    masks = _load(source, 'puppet_mask', action, clip, 'part_mask')
    if positions.ndim != 3 or positions.shape[:2] != (2, NUM_JOINTS):
        raise LabelError(f'{action}/{clip}: pos_img must be 2 x 15 x F, got {positions.shape}')
    masks = masks[..., None] if masks.ndim == 2 else masks  # Matlab drops a last dimension of 1
    num_frames = positions.shape[2]
    if masks.shape[2] != num_frames:
        raise LabelError(
            f'{action}/{clip}: {num_frames} frames with joints, {masks.shape[2]} with masks'
        )
    first = osp.join(source, 'Rename_Images', action, clip, '00001.png')
    if not osp.exists(first):
        raise DataNotFoundError.describe('JHMDB: frame', first, LAYOUT)
    with Image.open(first) as opened:
        size = opened.size
    images, annotations = [], []
    for frame in range(num_frames):
        image_id = number * 10000 + frame + 1
        images.append(
            dict(
                id=image_id,
                frame_id=image_id,
                vid_id=f'{number:05d}',
                nframes=num_frames,
                is_labeled=True,
                file_name=f'{action}/{clip}/{frame + 1:05d}.png',
                width=size[0],
                height=size[1],
            )
        )
        box = _box_of_mask(masks[:, :, frame])
        if box is not None:
            annotations.append(_annotation(positions[:, :, frame].T, box, image_id, size))
    return images, annotations


def _load(source: str, part: str, action: str, clip: str, variable: str) -> np.ndarray:
    path = osp.join(source, part, action, clip, f'{part}.mat')
    if not osp.exists(path):
        raise DataNotFoundError.describe(f'JHMDB: {part}', path, LAYOUT)
    content = scipy.io.loadmat(path)
    if variable not in content:
        raise LabelError(f'{path} lacks the variable "{variable}"')
    return content[variable]


def _box_of_mask(mask: np.ndarray) -> list[float] | None:
    """The xywh box of a mask (H, W), counted from 1; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    width, height = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    return [float(columns[0] + 1), float(rows[0] + 1), float(width), float(height)]


def _annotation(joints: np.ndarray, box: list[float], image_id: int, size: tuple[int, int]) -> dict:
    """One person's annotation of joints (15, 2), counted from 1."""
    inside = ((joints >= 1) & (joints <= size)).all(1)
    keypoints = np.column_stack([joints, np.full(NUM_JOINTS, 2)]) * inside[:, None]
    return dict(
        id=image_id,
        image_id=image_id,
        category_id=1,
        iscrowd=0,
        track_id=0,
        num_keypoints=int(inside.sum()),
        keypoints=keypoints.round(6).ravel().tolist(),
        bbox=box,
        area=box[2] * box[3],
    )


def _category() -> dict:
    names = JhmdbDataset._load_metainfo()['keypoint_id2name']
    keypoints = [names[index] for index in range(NUM_JOINTS)]
    return dict(id=1, name='person', supercategory='person', keypoints=keypoints)
