"""Original releases of JHMDB and LSP-Extended, turned into the COCO form that the data sets read.

JHMDB: Jhuang et al., "Towards understanding action recognition", ICCV 2013. LSP-Extended: Johnson
and Everingham, "Learning Effective Human Pose Estimation from Inaccurate Annotation", CVPR 2011:
10,000 photographs of athletes, 14 joints, labelled by a crowd.
"""

import collections
import contextlib
import json
import os
import os.path as osp
import shutil
import tempfile
import zipfile
from collections.abc import Iterator

import numpy as np
import scipy.io
from mmpose.datasets.datasets import JhmdbDataset, PoseTrack18Dataset
from tqdm import tqdm

from .errors import DataNotFoundError, LabelError
from .frames.clip_reader import image_size

__all__ = ['JHMDB_LAYOUT', 'LSPE_LAYOUT', 'LSP_TO_POSETRACK18', 'convert_jhmdb', 'convert_lspe']

JHMDB_LAYOUT = """
JHMDB/
  Rename_Images/<action>/<clip>/00001.png
  joint_positions/<action>/<clip>/joint_positions.mat    "pos_img", 2 x 15 x F, counted from 1
  puppet_mask/<action>/<clip>/puppet_mask.mat            "part_mask", H x W x F
  sub_splits/<action>_test_split_1.txt ... _3.txt        lines "<clip>.avi 1" (1 train, 2 test)
"""
NUM_JOINTS = 15
_SPLIT_NAMES = {'1': 'train', '2': 'test'}
LSPE_LAYOUT = """
ARCHIVE/ (a folder, or a zip file that holds it)
  joints.mat            variable "joints", 14 x 3 x N
  images/im00001.jpg    ... or .png (hr-lspet)
"""
# Index of an LSP joint -> index in PoseTrack18's 17; LSP has no nose and no ears.
LSP_TO_POSETRACK18 = {
    0: 16,  # right_ankle
    1: 14,  # right_knee
    2: 12,  # right_hip
    3: 11,  # left_hip
    4: 13,  # left_knee
    5: 15,  # left_ankle
    6: 10,  # right_wrist
    7: 8,  # right_elbow
    8: 6,  # right_shoulder
    9: 5,  # left_shoulder
    10: 7,  # left_elbow
    11: 9,  # left_wrist
    12: 1,  # neck: head_bottom
    13: 2,  # head_top
}
NECK, HEAD_TOP = 12, 13
# The photographs lie in the order in which they were collected, so neighbours often show one event.
# Whole blocks are therefore held out: of every 200, 170 for training, 20 for validation, and 10
# that belong to neither, before the next block of training.
BLOCK, TRAIN_END, VAL_END = 200, 170, 190
BOX_MARGIN = 0.08  # on every side, of the longer side of the joints' extent
# PoseTrack measures errors in 0.6 x the diagonal of the head box. LSP has no head box: a square is
# put between neck and head top whose 0.6 x diagonal is 0.75 x their distance.
HEAD_SIDE = 0.75 / (0.6 * 2**0.5)


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
            raise DataNotFoundError.describe('JHMDB: folder', osp.join(source, part), JHMDB_LAYOUT)
    members = _read_splits(osp.join(source, splits))
    clips = sorted({clip for chosen in members.values() for clip in chosen})
    # A clip keeps its number in all files, so image ids agree between the splits
    numbered = {clip: number for number, clip in enumerate(clips, start=1)}
    labels = {}
    for clip in tqdm(clips, disable=None):
        labels[clip] = _convert_clip(source, *clip, numbered[clip])
    counts = {}
    for (number, part), chosen in sorted(members.items()):
        name = f'Sub{number}_{part}.json'
        merged = _empty_labels(JhmdbDataset)
        for clip in sorted(chosen):
            merged['images'] += labels[clip][0]
            merged['annotations'] += labels[clip][1]
        _write(merged, osp.join(out, 'annotations', name))
        counts[name] = len(chosen)
    return counts


def convert_lspe(source: str, out: str, min_joints: int = 6) -> dict[str, int]:
    """Write ``lspe_train.json``, ``lspe_val.json`` and ``images/`` below a folder.

    Args:
        source: Folder or zip file of the original release.
        out: Folder to write to; may be the source folder.
        min_joints: Persons with fewer labelled joints are left out.

    Returns:
        Numbers of persons: ``train``, ``val``, ``between`` (in neither) and ``few joints``.

    Raises:
        DataNotFoundError: The release is not there.
        LabelError: ``joints.mat`` has another shape.
    """
    with _opened(source) as folder:
        joints = _read_joints(osp.join(folder, 'joints.mat'))
        splits = {name: _empty_labels(PoseTrack18Dataset) for name in ('train', 'val')}
        counts = dict.fromkeys(('train', 'val', 'between', 'few joints'), 0)
        os.makedirs(osp.join(out, 'images'), exist_ok=True)
        for index, person in enumerate(tqdm(joints, disable=None)):
            place = index % BLOCK
            if place >= VAL_END:
                counts['between'] += 1
                continue
            if (person[:, 2] > 0).sum() < min_joints:
                counts['few joints'] += 1
                continue
            split = 'train' if place < TRAIN_END else 'val'
            name = _take_image(folder, out, index)
            size = image_size(osp.join(out, name))
            image = dict(id=index, file_name=name, width=size[0], height=size[1])
            splits[split]['images'].append(image)
            splits[split]['annotations'].append(_lspe_annotation(person, index, size))
            counts[split] += 1
    for split, labels in splits.items():
        _write(labels, osp.join(out, f'lspe_{split}.json'))
    return counts


def _empty_labels(kind: type) -> dict:
    """COCO-form labels without images, with the keypoint names of a data set of MMPose."""
    names = kind._load_metainfo()['keypoint_id2name']
    keypoints = [names[index] for index in range(len(names))]
    category = dict(id=1, name='person', supercategory='person', keypoints=keypoints)
    return dict(categories=[category], images=[], annotations=[])


def _annotation(image_id: int, keypoints: np.ndarray, box: list[float], **fields) -> dict:
    """The annotation of the only person of an image; keypoints (K, 3), 0 where unlabelled."""
    return dict(
        id=image_id,
        image_id=image_id,
        category_id=1,
        iscrowd=0,
        track_id=0,
        num_keypoints=int((keypoints[:, 2] > 0).sum()),
        keypoints=keypoints.ravel().tolist(),
        bbox=box,
        **fields,
    )


def _write(labels: dict, path: str) -> None:
    os.makedirs(osp.dirname(path) or '.', exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(labels, file)


def _load_variable(path: str, variable: str) -> np.ndarray | None:
    """One array of a Matlab file; None where it does not hold it."""
    try:
        return scipy.io.loadmat(path).get(variable)
    except (ValueError, OSError, NotImplementedError) as error:
        raise LabelError(f'{path} cannot be read as a Matlab file: {error}') from error


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
    positions = _load_part(source, 'joint_positions', action, clip, 'pos_img')
    masks = _load_part(source, 'puppet_mask', action, clip, 'part_mask')
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
        raise DataNotFoundError.describe('JHMDB: frame', first, JHMDB_LAYOUT)
    size = image_size(first)
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
            joints = positions[:, :, frame].T  # (15, 2), counted from 1
            inside = ((joints >= 1) & (joints <= size)).all(1)
            keypoints = np.column_stack([joints, np.full(NUM_JOINTS, 2)]) * inside[:, None]
            annotations.append(_annotation(image_id, keypoints.round(6), box, area=box[2] * box[3]))
    return images, annotations


def _load_part(source: str, part: str, action: str, clip: str, variable: str) -> np.ndarray:
    path = osp.join(source, part, action, clip, f'{part}.mat')
    if not osp.exists(path):
        raise DataNotFoundError.describe(f'JHMDB: {part}', path, JHMDB_LAYOUT)
    values = _load_variable(path, variable)
    if values is None:
        raise LabelError(f'{path} lacks the variable "{variable}"')
    return values


def _box_of_mask(mask: np.ndarray) -> list[float] | None:
    """The xywh box of a mask (H, W), counted from 1; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    width, height = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    return [float(columns[0] + 1), float(rows[0] + 1), float(width), float(height)]


@contextlib.contextmanager
def _opened(source: str) -> Iterator[str]:
    """The folder that holds joints.mat; a zip file is unpacked for as long as it is needed."""
    with contextlib.ExitStack() as stack:
        folder = source
        if zipfile.is_zipfile(source):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            stack.enter_context(zipfile.ZipFile(source)).extractall(folder)
        found = [path for path, _, names in os.walk(folder) if 'joints.mat' in names]
        if not found:
            raise DataNotFoundError.describe('LSP-Extended: joints.mat', source, LSPE_LAYOUT)
        yield found[0]


def _read_joints(path: str) -> np.ndarray:
    """Read the joints as (N, 14, 3): x, y in px and whether the joint is labelled."""
    joints = _load_variable(path, 'joints')
    if joints is None or joints.ndim != 3 or joints.shape[:2] != (14, 3):
        shape = None if joints is None else joints.shape
        raise LabelError(
            f'{path}: "joints" must be 14 x 3 x N as in LSP-Extended, got {shape} (LSP itself is '
            '3 x 14 x N and says in the third row whether a joint is hidden)'
        )
    return joints.transpose(2, 0, 1)  # (14, 3, N) -> (N, 14, 3)


def _take_image(folder: str, out: str, index: int) -> str:
    """Copy one image unless source and target are the same; its name relative to ``out``."""
    for suffix in ('.jpg', '.png'):
        name = osp.join('images', f'im{index + 1:05d}{suffix}')
        path, target = osp.join(folder, name), osp.join(out, name)
        if osp.exists(path):
            if osp.realpath(path) != osp.realpath(target):
                shutil.copyfile(path, target)
            return name
    missing = osp.join(folder, 'images', f'im{index + 1:05d}.jpg')
    raise DataNotFoundError.describe('LSP-Extended: image', missing, LSPE_LAYOUT)


def _lspe_annotation(person: np.ndarray, index: int, size: tuple[int, int]) -> dict:
    """One person's annotation of joints (14, 3)."""
    keypoints = np.zeros((17, 3))
    for source, target in LSP_TO_POSETRACK18.items():
        if person[source, 2] > 0:
            keypoints[target] = [*person[source, :2], 1]
    points = person[person[:, 2] > 0, :2]
    low, high = points.min(0), points.max(0)
    margin = BOX_MARGIN * (high - low).max()
    low, high = np.maximum(low - margin, 0), np.minimum(high + margin, np.array(size) - 1)
    box = [*low.round(2).tolist(), *(high - low).round(2).tolist()]
    area = round(float(np.prod(high - low)), 1)
    annotation = _annotation(index, keypoints.round(2), box, area=area)
    if person[NECK, 2] > 0 and person[HEAD_TOP, 2] > 0:
        neck, top = person[NECK, :2], person[HEAD_TOP, :2]
        side = HEAD_SIDE * float(np.linalg.norm(top - neck))
        corner = (neck + top) / 2 - side / 2
        annotation['bbox_head'] = [*corner.round(2).tolist(), round(side, 2), round(side, 2)]
    return annotation
