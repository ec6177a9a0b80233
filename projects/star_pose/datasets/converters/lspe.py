"""LSP-Extended's original archive, turned into COCO form with PoseTrack18's 17 joints.

Johnson and Everingham, "Learning Effective Human Pose Estimation from Inaccurate Annotation",
CVPR 2011: 10,000 photographs of athletes, 14 joints, labelled by a crowd.
"""

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
from mmpose.datasets.datasets import PoseTrack18Dataset
from PIL import Image
from tqdm import tqdm

from ..errors import DataNotFoundError, LabelError

__all__ = ['LSP_TO_POSETRACK18', 'convert_lspe']

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
LAYOUT = """
ARCHIVE/ (a folder, or a zip file that holds it)
  joints.mat            variable "joints", 14 x 3 x N
  images/im00001.jpg    ... or .png (hr-lspet)
"""
# The photographs lie in the order in which they were collected, so neighbours often show one event.
# Whole blocks are therefore held out: of every 200, 170 for training, 20 for validation, and 10
# that belong to neither, before the next block of training.
BLOCK, TRAIN_END, VAL_END = 200, 170, 190
BOX_MARGIN = 0.08  # on every side, of the longer side of the joints' extent
# PoseTrack measures errors in 0.6 x the diagonal of the head box. LSP has no head box: a square is
# put between neck and head top whose 0.6 x diagonal is 0.75 x their distance.
HEAD_SIDE = 0.75 / (0.6 * 2**0.5)


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
        splits = {'train': _empty(), 'val': _empty()}
        counts = dict.fromkeys(('train', 'val', 'between', 'few joints'), 0)
        os.makedirs(osp.join(out, 'images'), exist_ok=True)
        for index, person in enumerate(tqdm(joints, disable=None)):
            split = _split_of(index)
            if split is None:
                counts['between'] += 1
                continue
            if (person[:, 2] > 0).sum() < min_joints:
                counts['few joints'] += 1
                continue
            name = _take_image(folder, out, index)
            with Image.open(osp.join(out, name)) as image:
                size = image.size
            image = dict(id=index, file_name=name, width=size[0], height=size[1])
            splits[split]['images'].append(image)
            splits[split]['annotations'].append(_annotation(person, index, size))
            counts[split] += 1
    for split, labels in splits.items():
        with open(osp.join(out, f'lspe_{split}.json'), 'w', encoding='utf-8') as file:
            json.dump(labels, file)
    return counts


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
            raise DataNotFoundError.describe('LSP-Extended: joints.mat', source, LAYOUT)
        yield found[0]


def _read_joints(path: str) -> np.ndarray:
    """Read the joints as (N, 14, 3): x, y in px and whether the joint is labelled."""
    content = scipy.io.loadmat(path)
    joints = content.get('joints')
    if joints is None or joints.ndim != 3 or joints.shape[:2] != (14, 3):
        shape = None if joints is None else joints.shape
        raise LabelError(
            f'{path}: "joints" must be 14 x 3 x N as in LSP-Extended, got {shape} (LSP itself is '
            '3 x 14 x N and says in the third row whether a joint is hidden)'
        )
    return joints.transpose(2, 0, 1)  # (14, 3, N) -> (N, 14, 3)


def _split_of(index: int) -> str | None:
    place = index % BLOCK
    if place < TRAIN_END:
        return 'train'
    return 'val' if place < VAL_END else None


def _empty() -> dict:
    names = PoseTrack18Dataset._load_metainfo()['keypoint_id2name']
    keypoints = [names[index] for index in range(len(names))]
    category = dict(id=1, name='person', supercategory='person', keypoints=keypoints)
    return dict(images=[], annotations=[], categories=[category])


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
    raise DataNotFoundError.describe('LSP-Extended: image', missing, LAYOUT)


def _annotation(person: np.ndarray, index: int, size: tuple[int, int]) -> dict:
    """One person's COCO annotation; unlabelled joints are (0, 0, 0)."""
    keypoints = np.zeros((17, 3))
    for source, target in LSP_TO_POSETRACK18.items():
        if person[source, 2] > 0:
            keypoints[target] = [*person[source, :2], 1]
    points = person[person[:, 2] > 0, :2]
    low, high = points.min(0), points.max(0)
    margin = BOX_MARGIN * (high - low).max()
    low, high = np.maximum(low - margin, 0), np.minimum(high + margin, np.array(size) - 1)
    annotation = dict(
        id=index,
        image_id=index,
        category_id=1,
        iscrowd=0,
        track_id=0,
        num_keypoints=len(points),
        keypoints=keypoints.round(2).ravel().tolist(),
        bbox=[*low.round(2).tolist(), *(high - low).round(2).tolist()],
        area=round(float(np.prod(high - low)), 1),
    )
    if person[NECK, 2] > 0 and person[HEAD_TOP, 2] > 0:
        neck, top = person[NECK, :2], person[HEAD_TOP, :2]
        side = HEAD_SIDE * float(np.linalg.norm(top - neck))
        corner = (neck + top) / 2 - side / 2
        annotation['bbox_head'] = [*corner.round(2).tolist(), round(side, 2), round(side, 2)]
    return annotation
