"""Read predictions that any tool has written, against the frames of the ground truth."""

from pathlib import Path

import numpy as np

from .read_files import all_finite, category_columns, keypoint_array, label, load_documents
from .read_labels import frame_style
from .tables import (
    NO_TRACK,
    FrameFinder,
    FrameTable,
    PoseTable,
    PoseTrackError,
    Problem,
    repeated_tracks,
    track_number,
)

__all__ = ['check_persons', 'parse_predictions', 'read_predictions']


def read_predictions(
    path: str | Path,
    frames: FrameTable,
    *,
    tracking: bool = False,
    allow_missing_scores: bool = False,
) -> PoseTable:
    """Read predictions and refuse what cannot be evaluated.

    Args:
        path: Folder with one file a video; or one file: merged, or a COCO list of results.
        frames: Frames of the ground truth.
        tracking: Whether every person needs a track id.
        allow_missing_scores: Let persons without joint scores pass; they then rank last.

    Returns:
        The predicted persons.

    Raises:
        FileNotFoundError: When there is nothing at ``path``.
        PoseTrackError: With all faults, each naming video, frame and person.
    """
    documents = load_documents(path)
    persons, problems = parse_predictions(documents, frames, merged=Path(path).is_file())
    problems += check_persons(
        frames, persons, tracking=tracking, allow_missing_scores=allow_missing_scores
    )
    if problems:
        raise PoseTrackError(problems)
    return persons


def parse_predictions(
    documents: list[tuple[str, dict | list]], frames: FrameTable, merged: bool
) -> tuple[PoseTable, list[Problem]]:
    """Turn prediction files into a table.

    A frame is known by its name; an id alone serves where a file lists no images.

    Args:
        documents: Pairs of a name and a file's content, as ``load_documents`` gives them.
        frames: Frames of the ground truth.
        merged: Whether one document holds all videos.

    Returns:
        The persons that could be read, and what is wrong with the others and with the files.
    """
    finder = FrameFinder(frames)
    problems = [] if merged else missing_videos([name for name, _ in documents], frames)
    place, kept, tracks = [], [], []
    points, scores = [np.zeros((0, 15, 3))], [np.zeros((0, 15))]
    for name, document in documents:
        scored = isinstance(document, list)  # COCO results: no images, the flag is the score
        document = {'annotations': document} if scored else document
        videos = None if merged else finder.videos_of(name)
        if not merged and not videos:
            continue  # told by missing_videos
        found = find_images(name, document, videos, finder, problems)
        columns, number = category_columns(name, document)
        persons = []
        for ann in document.get('annotations') or []:
            image_id = ann['image_id']
            if 'images' in document:
                unlisted = (None, 'no image of the file has this id')
                row, fault = found.get(image_id, unlisted)
            else:
                row, fault = finder.find(videos, image_id)
            if fault:
                if image_id not in found:  # else told by find_images
                    problems.append(Problem(name, fault, str(image_id), label(ann)))
                continue
            try:
                person = read_person(ann, number, scored)
                track = track_number(ann.get('track_id'))
            except ValueError as error:
                problems.append(frames.problem(row, str(error), label(ann)))
                continue
            if person['keypoints']:
                place.append(row)
                persons.append(person)
                kept.append(label(ann))
                tracks.append(track)
        points.append(keypoint_array(persons, columns, number))
        stacked = np.array([person['scores'] for person in persons], dtype=np.float64)
        scores.append(stacked.reshape(-1, number)[:, columns])  # (P, K) -> (P, 15)
    joints = np.concatenate(points)
    table = PoseTable.from_columns(
        place,
        joints[..., :2],
        flags=joints[..., 2],
        scores=np.concatenate(scores),
        track_ids=tracks,
        names=kept,
    )
    return table, problems


def read_person(ann: dict, number: int, scored: bool) -> dict[str, list]:
    """Return a prediction's ``keypoints`` and ``scores`` (None where there is none).

    ``scored`` tells that the third values of the keypoints are the scores.

    Raises:
        ValueError: When one of them has another length, or holds what is no number.
    """
    keypoints, scores = ann.get('keypoints') or [], ann.get('scores') or [None] * number
    if not isinstance(keypoints, list) or not isinstance(scores, list):
        raise ValueError('"keypoints" and "scores" must be lists')
    if keypoints and len(keypoints) != 3 * number:
        raise ValueError(f'{len(keypoints)} numbers in "keypoints" instead of {3 * number}')
    if not all_finite(keypoints):
        raise ValueError('a coordinate is NaN, infinite or no number')
    if scored:
        scores = keypoints[2::3]
        keypoints = [1.0 if i % 3 == 2 else value for i, value in enumerate(keypoints)]
    if len(scores) != number and keypoints:
        raise ValueError(f'{len(scores)} "scores" for {number} keypoints')
    known = (score is None or isinstance(score, float) or is_small(score) for score in scores)
    if not all(known):
        raise ValueError('a score is no number')
    return {'keypoints': keypoints, 'scores': scores}


def is_small(value) -> bool:
    """Tell whether a value is a whole number that a float holds."""
    return isinstance(value, int) and abs(value) < 2**63


def find_images(
    name: str,
    document: dict,
    videos: set[int] | None,
    finder: FrameFinder,
    problems: list[Problem],
) -> dict:
    """Map a prediction file's image ids to frames; append what is unknown or missing.

    Returns:
        For each id the row of its frame, None for an unknown one, and what is wrong with it.
    """
    if 'images' not in document:
        return {}
    found, owners, frames = {}, {}, finder.frames
    for image in document['images'] or []:
        file_name = image.get('file_name', '')
        shown = file_name or str(image['id'])
        row, fault = finder.find(videos, image['id'], file_name)
        if found.setdefault(image['id'], (row, fault)) != (row, fault):
            fault = f'image id {image["id"]} stands for another frame too'
            found[image['id']] = row, fault
        if not fault and owners.setdefault(row, image['id']) != image['id']:
            fault = f'the frame is listed twice, as image id {owners[row]} too: one must go'
        styles = [frame_style(path) for path in (file_name, *frames.names[:1])]
        if None not in styles and len(set(styles)) == 2:
            fault = f'mixed label versions: named as in {styles[0]}, ground truth as in {styles[1]}'
        if fault:
            problems.append(Problem(name, fault, shown))
    rows = [row for row, _ in found.values() if row is not None]
    if videos is None:
        videos = set(frames.video[rows].tolist())
        problems += missing_videos([frames.videos[video] for video in videos], frames)
    wanted = np.flatnonzero(np.isin(frames.video, sorted(videos)))
    for row in sorted(set(wanted.tolist()) - set(rows)):
        problems.append(frames.problem(row, 'missing in the predictions (write it, also empty)'))
    return found


def missing_videos(names: list[str], frames: FrameTable) -> list[Problem]:
    """Compare the videos of predictions with those of the ground truth."""
    known = set(frames.videos) | set(frames.files)
    problems = [
        Problem(name, 'predictions for a video that the ground truth does not have')
        for name in sorted(set(names) - known)
    ]
    pairs = zip(frames.videos, frames.files, strict=True)
    missing = [video for video, file in pairs if not {video, file} & set(names)]
    hint = ''
    if missing:
        share = f'{len(frames.videos) - len(missing)} of {len(frames.videos)}'
        hint = f' (the predictions have {share} videos: is it the same label version?)'
    return problems + [Problem(name, f'no predictions{hint}') for name in missing]


def check_persons(
    frames: FrameTable,
    persons: PoseTable,
    *,
    tracking: bool = False,
    allow_missing_scores: bool = False,
) -> list[Problem]:
    """Find what makes predictions impossible to evaluate, with the options of ``read_predictions``.

    Returns:
        A problem for each person with a joint without score, or a missing or repeated track.
    """
    faults = []
    if not allow_missing_scores:
        unscored = (persons.given & ~np.isfinite(persons.scores)).any(axis=1)
        faults.append((unscored, 'a joint has no score (AP ranks joints by "scores")'))
    if tracking:
        faults.append((persons.track_ids == NO_TRACK, 'no track_id, which tracking needs'))
    problems = [
        frames.problem(persons.frame[row], what, persons.names[row])
        for mask, what in faults
        for row in np.flatnonzero(mask)
    ]
    return problems + repeated_tracks(frames, persons)
