"""Read PoseTrack ground truth: the official folder (a file a video) or one merged file."""

import math
import os.path as osp
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .read_files import (
    all_finite,
    category_columns,
    is_pose,
    keypoint_array,
    label,
    load_documents,
)
from .tables import FrameTable, PoseTable, PoseTrackError, Problem, frame_place, track_number

__all__ = [
    'frame_style',
    'head_size',
    'label_version',
    'name_of_labels',
    'parse_ground_truth',
    'read_ground_truth',
]

# The reference length of PCKh, as poseval takes it: 60 % of the head box's diagonal.
HEAD_FACTOR = 0.6

# (sequences, labelled frames) of the validation sets whose versions get mixed up.
LABEL_SETS = {(74, 3902): 'PoseTrack18 val v0.2', (170, 8923): 'PoseTrack18 val v0.45'}

STYLES = {8: 'PoseTrack17 (8 digits)', 6: 'PoseTrack18/21 (6 digits)'}


def head_size(box: Sequence[float] | None) -> float:
    """Return 60 % of the diagonal of a head box (x, y, w, h), the unit of PCKh; NaN without one."""
    if not isinstance(box, (list, tuple, np.ndarray)) or len(box) != 4 or not all_finite(box):
        return math.nan
    x, y, width, height = map(float, box)
    # Through the corners and back, as poseval does: the last bit decides a distance of exactly 0.5.
    across, down = (x + width) - x, (y + height) - y
    size = HEAD_FACTOR * math.sqrt(across * across + down * down)
    return size if math.isfinite(size) else math.nan


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
    if not all(np.isfinite(region).all() for region in regions):
        raise ValueError('a coordinate is not finite')
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

    Videos are told apart by the frames' names (``frame_place``), whatever file they stand in; time
    is the number in the name; without a name, the id. A person without ``bbox_head`` has no unit of
    length and is left out, and a frame whose list of persons is then empty counts as unlabelled;
    both are counted.

    Args:
        documents: Pairs of a name and a file's content.
        merged: Whether one document holds several videos; else each video is called like its file.

    Returns:
        The frames and the labelled persons.

    Raises:
        PoseTrackError: See ``read_ground_truth``.
    """
    images, places, files, problems = [], [], {}, []
    for name, document in documents:
        if not isinstance(document, dict) or 'images' not in document:
            raise PoseTrackError([Problem(name, 'no list "images": not a PoseTrack18 label file')])
        for row, image in enumerate(document['images']):
            number = image['id'] if isinstance(image['id'], int) else ''
            video, number = frame_place(
                image.get('file_name') or f'{image.get("vid_id", name)}/{number}'
            )
            images.append((name, image))
            places.append((video, row if number is None else number, number is None))
            files.setdefault(video, name)
    rows = {video: row for row, video in enumerate(files)}
    order = sorted(range(len(images)), key=lambda i: (rows[places[i][0]], places[i][1]))
    named = {name for name, document in documents if document['images']}
    one_each = not merged and len(files) == len(set(files.values())) == len(named)
    names = list(files.values()) if one_each else name_videos(list(files))
    regions, owners = [], {}
    for row, (name, image) in enumerate(images[i] for i in order):
        frame = image.get('file_name') or str(image['id'])
        try:
            regions.append(ignore_regions(image))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            problems.append(Problem(name, f'its ignore regions cannot be read: {error}', frame))
        other = owners.setdefault((name, image['id']), row)
        if other != row:
            what = f'image id {image["id"]} comes twice: it is that of another frame too'
            problems.append(Problem(name, what, frame))
    if problems:
        raise PoseTrackError(problems)
    entries = [images[i][1] for i in order]
    video = np.array([rows[places[i][0]] for i in order], dtype=np.int64)
    frames = FrameTable(
        videos=names,
        video=video,
        times=frame_times(video, [places[i][1] for i in order]),
        ids=[image['id'] for image in entries],
        names=[image.get('file_name') or str(image['id']) for image in entries],
        labelled=np.array([bool(image.get('is_labeled', True)) for image in entries], dtype=bool),
        annotated=np.zeros(len(order), dtype=bool),
        regions=regions,
        files=list(files.values()),
        unplaced=[
            row for row, i in enumerate(order) if places[i][2] and (video == video[row]).sum() > 1
        ],
    )
    check_frames(frames)
    return frames, parse_persons(documents, frames, owners)


def name_videos(keys: list[str]) -> list[str]:
    """Name videos by folder or file, with as much of the path as tells them apart.

    ``keys`` is what ``frame_place`` calls them; the names can be those of files.
    """

    def name(key: str, depth: int) -> str:
        folder, last = osp.split(key)
        parts = [part for part in folder.split('/') if part]
        stem, suffix = osp.splitext(last)
        if suffix:  # of a video file
            return '_'.join([*parts, stem][-depth:])
        prefix = [last.strip('_-. ')] if last and depth > 1 else []
        return '_'.join([*parts[-max(depth - 1, 1) :], *prefix]) or 'video'

    for depth in range(1, 2 + max((key.count('/') for key in keys), default=0)):
        names = [name(key, depth) for key in keys]
        if len(set(names)) == len(names):
            return names
    return [key.replace('/', '_') for key in keys]


def frame_times(video: np.ndarray, numbers: list[int]) -> np.ndarray:
    """Return the position of each frame in its video, (F,); a numbering may have a step."""
    times = np.zeros(len(numbers), dtype=np.int64)
    for rows in np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(video)) + 1):
        offsets = [numbers[row] - numbers[rows[0]] for row in rows]
        step = math.gcd(*offsets) or 1
        times[rows] = [min(offset // step, 2**62) for offset in offsets]
    return times


def check_frames(frames: FrameTable) -> None:
    """Raise when label versions are mixed or a frame's number comes twice in a video."""
    problems, first = [], None
    for row, name in enumerate(frames.names):
        style = frame_style(name)
        first = first or style
        if style is not None and style != first:
            problems.append(
                frames.problem(row, f'mixed label versions: named as in {style}, others as {first}')
            )
        same = row and frames.video[row] == frames.video[row - 1]
        if same and frames.times[row] == frames.times[row - 1]:
            what = f'its place in time is that of {frames.names[row - 1]} too: one must go'
            problems.append(frames.problem(row, what))
    if problems:
        raise PoseTrackError(problems)


def parse_persons(
    documents: list[tuple[str, dict]], frames: FrameTable, owners: dict[tuple, int]
) -> PoseTable:
    """Read the persons of all documents and mark in ``frames`` which frames are annotated."""
    place, kept, heads, tracks, headless = [], [], [], [], []
    points, problems = [np.zeros((0, 15, 3))], []
    for name, document in documents:
        columns, number = category_columns(name, document)
        persons = []
        for ann in document.get('annotations') or []:
            row = owners.get((name, ann['image_id']))
            if row is None:
                problems.append(Problem(name, f'no image has id {ann["image_id"]}', '', label(ann)))
            elif math.isnan(size := head_size(ann.get('bbox_head'))):
                headless.append(row)
            else:
                frames.annotated[row] = True
                # An empty list marks the frame as labelled; there is no pose to evaluate.
                if keypoints := ann.get('keypoints'):
                    if not is_pose(keypoints, number):
                        what = f'keypoints must be {3 * number} finite numbers'
                        problems.append(frames.problem(row, what, label(ann)))
                        continue
                    try:
                        tracks.append(track_number(ann.get('track_id')))
                    except ValueError as error:
                        problems.append(frames.problem(row, str(error), label(ann)))
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
        track_ids=tracks,
        head_sizes=heads,
        names=[label(ann) for ann in kept],
    )


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
