"""Read PoseTrack ground truth: the official folder (a file a video) or one merged file."""

import glob
import json
import math
import os.path as osp
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .annolist import annolist_to_document
from .joints import KEYPOINTS
from .tables import NO_TRACK, FrameTable, PoseTable, PoseTrackError, Problem, joint_columns

__all__ = [
    'all_finite',
    'frame_style',
    'head_size',
    'keypoint_array',
    'label_version',
    'load_documents',
    'name_of_labels',
    'parse_ground_truth',
    'read_ground_truth',
]

# The reference length of PCKh, as poseval takes it: 60 % of the head box's diagonal.
HEAD_FACTOR = 0.6

ORDERS = ('folder', 'name')

# (sequences, labelled frames) of the validation sets whose versions get mixed up.
LABEL_SETS = {(74, 3902): 'PoseTrack18 val v0.2', (170, 8923): 'PoseTrack18 val v0.45'}

STYLES = {8: 'PoseTrack17 (8 digits)', 6: 'PoseTrack18/21 (6 digits)'}


def load_documents(path: str | Path, order: str = 'folder') -> list[tuple[str, dict | list]]:
    """Load every json file of a folder, or one file.

    Args:
        path: Folder of json files, or a json file.
        order: 'folder' takes the files as the file system lists them, 'name' sorts them. Equal
            scores rank by the order of videos, so AP can depend on it; poseval takes 'folder'.

    Returns:
        Pairs (name of the file without its ending, content). PoseTrack17's ``annolist`` form is
        converted to PoseTrack18's.

    Raises:
        FileNotFoundError: When there is no such path, or a folder without json files.
        ValueError: When a file is not json, or ``order`` is unknown.
    """
    if order not in ORDERS:
        raise ValueError(f'order={order!r} is unknown: use one of {ORDERS}')
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'{path} does not exist: give a folder of json files, or one file')
    files = [Path(entry) for entry in glob.glob(f'{glob.escape(str(path))}/*.json')]
    files = (sorted(files) if order == 'name' else files) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f'{path} holds no json file')
    documents = []
    for file in files:
        try:
            content = json.loads(file.read_bytes())
        except ValueError as error:
            raise ValueError(f'{file} is not a json file: {error}') from error
        if isinstance(content, dict) and 'annolist' in content:
            content = annolist_to_document(content, file.name)
        documents.append((file.stem, content))
    return documents


def head_size(box: Sequence[float] | None) -> float:
    """Return 60 % of a head box's diagonal, the unit of PCKh.

    Args:
        box: Head box (x, y, w, h) in pixels, or None.

    Returns:
        The length in pixels, NaN without a box.
    """
    if box is None or len(box) != 4:
        return math.nan
    x, y, width, height = box
    # Through the corners and back, as poseval does: the last bit decides a distance of exactly 0.5.
    across, down = (x + width) - x, (y + height) - y
    return HEAD_FACTOR * math.sqrt(across * across + down * down)


def keypoint_array(annotations: list[dict], columns: np.ndarray, number: int) -> np.ndarray:
    """Stack the keypoints of persons that have a full list of them.

    Args:
        annotations: P persons, each with ``keypoints`` of length 3 * number.
        columns: Where the 15 joints stand, (15,).
        number: Keypoints of the file, K.

    Returns:
        x, y and flag of the 15 joints, (P, 15, 3) float64.
    """
    stacked = np.array([ann['keypoints'] for ann in annotations], dtype=np.float64)
    return stacked.reshape(-1, number, 3)[:, columns]  # (P, 3K) -> (P, 15, 3)


def all_finite(values: Sequence) -> bool:
    """Tell whether all values are numbers, none of them NaN or infinite."""
    try:
        return math.isfinite(sum(values))  # finite only if all its terms are
    except TypeError:
        return False


def category_columns(document: dict) -> tuple[np.ndarray, int]:
    """Return where the 15 joints stand in a file's keypoints, and how many keypoints there are."""
    categories = document.get('categories') or [{}]
    names = categories[0].get('keypoints') or KEYPOINTS
    return joint_columns(names), len(names)


def video_name(image: dict, file_name: str, merged: bool) -> str:
    """Name the video of an image: the file's name, or in a merged file the image's folder."""
    if not merged:
        return file_name
    folder = osp.basename(osp.dirname(image.get('file_name', '')))
    return folder or str(image.get('vid_id', file_name))


def frame_style(name: str) -> str | None:
    """Tell which PoseTrack a frame's file name comes from, None where it does not show."""
    stem = osp.splitext(osp.basename(name))[0]
    return STYLES.get(len(stem)) if stem.isdigit() else None


def ignore_regions(image: dict) -> list[np.ndarray]:
    """Return the ignore polygons of an image, each (n, 2); those without an area are left out."""
    xs, ys = image.get('ignore_regions_x') or [], image.get('ignore_regions_y') or []
    if xs and not isinstance(xs[0], (list, tuple)):
        xs, ys = [xs], [ys]
    regions = [np.array([x, y], dtype=np.float64).T for x, y in zip(xs, ys, strict=True)]
    return [region for region in regions if len(region) >= 3]


def read_ground_truth(path: str | Path, order: str = 'folder') -> tuple[FrameTable, PoseTable]:
    """Read ground truth from the official folder or from a merged file.

    Args:
        path: Folder with one json file a video, or one COCO-form file of all videos.
        order: Order of the videos in a folder, see ``load_documents``.

    Returns:
        The frames and the labelled persons.

    Raises:
        FileNotFoundError: When there is nothing at ``path``.
        PoseTrackError: When label versions are mixed or an annotation cannot be read.
    """
    return parse_ground_truth(load_documents(path, order), merged=Path(path).is_file())


def parse_ground_truth(
    documents: list[tuple[str, dict]], merged: bool
) -> tuple[FrameTable, PoseTable]:
    """Turn PoseTrack18 documents into tables.

    A person without ``bbox_head`` has no unit of length and is left out, and a frame whose list of
    persons is then empty counts as unlabelled; both are counted.

    Args:
        documents: Pairs of a name and a file's content.
        merged: Whether one document holds several videos.

    Returns:
        The frames and the labelled persons.

    Raises:
        PoseTrackError: See ``read_ground_truth``.
    """
    images, names = [], []
    for name, document in documents:
        for image in document.get('images', []) if isinstance(document, dict) else []:
            image.setdefault('id', image.get('image_id'))  # so some files of PoseTrack21 call it
        if not isinstance(document, dict) or 'images' not in document:
            raise PoseTrackError([Problem(name, 'no list "images": not a PoseTrack18 label file')])
        images += document['images']
        names += [video_name(image, name, merged) for image in document['images']]
    videos = list(dict.fromkeys(names))
    rows = {name: row for row, name in enumerate(videos)}
    order = sorted(range(len(images)), key=lambda i: rows[names[i]])  # stable: keeps time order
    frames = FrameTable(
        videos=videos,
        video=np.array([rows[names[i]] for i in order], dtype=np.int64),
        ids=[images[i]['id'] for i in order],
        names=[images[i].get('file_name', str(images[i]['id'])) for i in order],
        labelled=np.array([bool(images[i].get('is_labeled', True)) for i in order], dtype=bool),
        annotated=np.zeros(len(order), dtype=bool),
        regions=[ignore_regions(images[i]) for i in order],
        sizes=np.array(
            [(images[i].get('width', 0), images[i].get('height', 0)) for i in order], dtype=np.int64
        ).reshape(-1, 2),
    )
    check_frames(frames)
    return frames, parse_persons(documents, frames, merged)


def check_frames(frames: FrameTable) -> None:
    """Raise when label versions are mixed or an image id comes twice in a video."""
    problems, first, seen = [], None, set()
    for row, name in enumerate(frames.names):
        style = frame_style(name)
        first = first or style
        if style is not None and style != first:
            problems.append(
                frames.problem(row, f'mixed label versions: named as in {style}, others as {first}')
            )
        key = (frames.video[row], frames.ids[row])
        if key in seen:
            problems.append(frames.problem(row, f'image id {frames.ids[row]} comes twice'))
        seen.add(key)
    if problems:
        raise PoseTrackError(problems)


def parse_persons(documents: list[tuple[str, dict]], frames: FrameTable, merged: bool) -> PoseTable:
    """Read the persons of all documents and mark in ``frames`` which frames are annotated."""
    rows = {(frames.video[row], frame_id): row for row, frame_id in enumerate(frames.ids)}
    videos = {name: row for row, name in enumerate(frames.videos)}
    place, kept, heads, headless = [], [], [], []
    points, problems = [np.zeros((0, 15, 3))], []
    for name, document in documents:
        columns, number = category_columns(document)
        video_of = {i['id']: videos[video_name(i, name, merged)] for i in document['images']}
        persons = []
        for ann in document.get('annotations', []):
            row = rows.get((video_of.get(ann['image_id']), ann['image_id']))
            if row is None:
                problems.append(Problem(name, f'no image has id {ann["image_id"]}', '', label(ann)))
            elif math.isnan(size := head_size(ann.get('bbox_head'))):
                headless.append(row)
            else:
                frames.annotated[row] = True
                # An empty list marks the frame as labelled; there is no pose to evaluate.
                if keypoints := ann.get('keypoints'):
                    if len(keypoints) != 3 * number or not all_finite(keypoints):
                        what = f'keypoints must be {3 * number} finite numbers'
                        problems.append(frames.problem(row, what, label(ann)))
                        continue
                    persons.append(ann)
                    place.append(row)
                    heads.append(size)
        kept += persons
        points.append(keypoint_array(persons, columns, number))
    if problems:
        raise PoseTrackError(problems)
    frames.persons_without_head = len(headless)
    frames.frames_without_head = len({row for row in headless if not frames.annotated[row]})
    joints = np.concatenate(points)
    return PoseTable.from_columns(
        place,
        joints[..., :2],
        flags=joints[..., 2],
        track_ids=[ann.get('track_id', NO_TRACK) for ann in kept],
        head_sizes=heads,
        names=[label(ann) for ann in kept],
    )


def label(ann: dict) -> str:
    """Name a person in an error message."""
    parts = [f'{key} {ann[key]}' for key in ('id', 'track_id') if key in ann]
    return f'({", ".join(parts)})' if parts else '(no id)'


def name_of_labels(num_sequences: int, num_labelled: int) -> str:
    """Name the label set of this size, or the one it resembles."""
    if exact := LABEL_SETS.get((num_sequences, num_labelled)):
        return exact
    for (sequences, frames), name in LABEL_SETS.items():
        if sequences == num_sequences:
            return f'like {name}, which has {frames} labelled frames'
    return 'no known label version'


def label_version(frames: FrameTable) -> str:
    """Say which labels these are, by the counts of sequences and labelled frames."""
    counts = (len(np.unique(frames.video[frames.labelled])), int(frames.annotated.sum()))
    styles = {style for name in frames.names if (style := frame_style(name))}
    facts = [name_of_labels(*counts), *sorted(styles)]
    facts.append(f'{counts[0]} sequences, {counts[1]} labelled frames')
    return ', '.join(facts)
