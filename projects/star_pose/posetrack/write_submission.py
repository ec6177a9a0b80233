"""Write predictions as PoseTrack's servers and poseval read them, or check what was written."""

import json
from pathlib import Path

import numpy as np

from .joints import CATEGORY, KEYPOINTS, ROWS
from .read_files import label, load_documents
from .read_predictions import check_persons, parse_predictions
from .tables import NO_TRACK, FrameTable, PoseTable, PoseTrackError, Problem

__all__ = ['validate_submission', 'write_submission']

# poseval offsets the tracks of each sequence by this number.
MAX_TRACK_ID = 10000


def write_submission(frames: FrameTable, persons: PoseTable, folder: str | Path) -> list[Path]:
    """Write one file a video, with every frame, also those without persons.

    The servers want track ids below 1000 that are unique in a frame: tracks are renumbered from 0
    in each video, and persons without a track are numbered within their frame.

    Args:
        frames: Frames of the ground truth, or of the test set.
        persons: Predicted persons with joint scores.
        folder: Where to write.

    Returns:
        The files.

    Raises:
        FileExistsError: When the folder holds json files of other videos, which would be
            submitted too.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    others = sorted({file.stem for file in folder.glob('*.json')} - set(frames.videos))
    if others:
        raise FileExistsError(
            f'{folder} holds other json files ({", ".join(others[:3])}): use an empty folder'
        )
    bounds = np.searchsorted(frames.video[persons.frame], np.arange(len(frames.videos) + 1))
    files = []
    for video, name in enumerate(frames.videos):
        rows = np.arange(bounds[video], bounds[video + 1])
        document = video_document(frames, video, persons.take(rows))
        files.append(folder / f'{name}.json')
        files[-1].write_text(json.dumps(document, allow_nan=False))
    return files


def video_document(frames: FrameTable, video: int, persons: PoseTable) -> dict:
    """Return the content of one video's file."""
    rows = np.flatnonzero(frames.video == video)
    images = [
        {
            'id': frames.ids[row],
            'frame_id': frames.ids[row],
            'file_name': frames.names[row],
            'vid_id': frames.videos[video].split('_')[0],
            'nframes': len(rows),
        }
        for row in rows
    ]
    columns = list(ROWS)
    keypoints = np.zeros((len(persons), len(KEYPOINTS), 3))
    keypoints[:, columns, :2] = persons.points
    # Ears keep the flag 0: absent, as in the labels.
    keypoints[:, columns, 2] = persons.given
    scores = np.zeros((len(persons), len(KEYPOINTS)))
    scores[:, columns] = persons.scores
    annotations = [
        {
            'id': number,
            'image_id': frames.ids[frame],
            'category_id': 1,
            'track_id': track,
            'keypoints': points,
            'scores': joint_scores,
            'score': score,
        }
        for number, (frame, track, points, joint_scores, score) in enumerate(
            zip(
                persons.frame.tolist(),
                small_track_ids(persons),
                keypoints.reshape(len(persons), -1).tolist(),  # (P, 17, 3) -> (P, 51)
                scores.tolist(),
                persons.scores.mean(axis=1).tolist(),
                strict=True,
            )
        )
    ]
    return {'images': images, 'annotations': annotations, 'categories': [CATEGORY]}


def small_track_ids(persons: PoseTable) -> list[int]:
    """Renumber the tracks of one video from 0; number persons without a track in their frame."""
    tracked = persons.track_ids != NO_TRACK
    if tracked.all():
        return np.unique(persons.track_ids, return_inverse=True)[1].tolist()
    first = np.searchsorted(persons.frame, persons.frame)  # first person of each one's frame
    return (np.arange(len(persons)) - first).tolist()


def validate_submission(
    folder: str | Path, frames: FrameTable, *, tracking: bool = False
) -> list[Problem]:
    """Find everything that PoseTrack's servers or poseval would trip over.

    Args:
        folder: The predictions, one json file a video.
        frames: Frames of the ground truth.
        tracking: Whether the submission is for tracking, which needs a track id everywhere.

    Returns:
        The problems, each naming video, frame and person; empty for a valid submission.

    Raises:
        FileNotFoundError: When the folder is missing or empty.
        NotADirectoryError: When ``folder`` is a file.
    """
    if Path(folder).is_file():
        raise NotADirectoryError(f'{folder} is a file: a submission is a folder, one file a video')
    documents = load_documents(folder)
    try:
        persons, problems = parse_predictions(documents, frames, merged=False)
    except PoseTrackError as error:
        return error.problems
    problems += check_persons(frames, persons, tracking=tracking)
    for name, document in documents:
        if name in frames.videos:
            problems += check_document(name, document, frames)
    return problems


def check_document(name: str, document: dict | list, frames: FrameTable) -> list[Problem]:
    """Check the form of one video's file."""
    if not isinstance(document, dict) or 'images' not in document:
        return [Problem(name, 'no list "images": the servers read one entry a frame')]
    problems = []
    categories = document.get('categories') or []
    if len(categories) != 1 or categories[0].get('name') != 'person':
        problems.append(Problem(name, '"categories" must hold exactly one entry, named "person"'))
    elif len(categories[0].get('keypoints') or []) not in (15, 17):
        problems.append(Problem(name, '"categories" must name the 15 or 17 keypoints'))
    # poseval pairs frames by their place in the list and never looks at the ids.
    rows = [row for row, video in enumerate(frames.video) if frames.videos[video] == name]
    written = [Path(image.get('file_name', '')).name for image in document['images']]
    for place, row in enumerate(rows):
        wanted = Path(frames.names[row]).name
        if place < len(written) and written[place] != wanted:
            what = f'place {place} of "images" holds {written[place]!r}: keep the order of frames'
            problems.append(frames.problem(row, what))
            break
    shown = {image['id']: image.get('file_name', image['id']) for image in document['images']}
    for ann in document.get('annotations') or []:
        track = ann.get('track_id')
        if track is not None and not (isinstance(track, int) and 0 <= track < MAX_TRACK_ID):
            what = f'track_id {track!r} must be an integer in [0, {MAX_TRACK_ID})'
            frame = str(shown.get(ann.get('image_id'), ''))
            problems.append(Problem(name, what, frame, label(ann)))
    return problems
