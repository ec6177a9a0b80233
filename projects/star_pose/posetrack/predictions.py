"""Read predictions that any tool has written, against the frames of the ground truth."""

import os.path as osp
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .labels import (
    all_finite,
    category_columns,
    frame_style,
    keypoint_array,
    label,
    load_documents,
)
from .tables import NO_TRACK, FrameTable, PoseTable, PoseTrackError, Problem

__all__ = ['NOT_FINITE', 'FrameFinder', 'check_persons', 'parse_predictions', 'read_predictions']

NOT_FINITE = 'a coordinate is NaN, infinite or no number'


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

    Args:
        documents: Pairs of a name and a file's content, as ``load_documents`` gives them.
        frames: Frames of the ground truth.
        merged: Whether one document holds all videos.

    Returns:
        The persons that could be read, and what is wrong with the others and with the files.
    """
    finder = FrameFinder(frames)
    problems = [] if merged else missing_videos([name for name, _ in documents], frames)
    place, kept, points, scores = [], [], [np.zeros((0, 15, 3))], [np.zeros((0, 15))]
    for name, document in documents:
        if isinstance(document, list):  # COCO results: no images, the flag of a joint is its score
            document = {'annotations': [as_annotation(result) for result in document]}
        video = None if merged else finder.videos.get(name)
        if not merged and video is None:
            continue  # told by missing_videos
        found = find_images(name, document, video, finder, problems)
        columns, number = category_columns(document)
        persons = []
        for ann in document.get('annotations', []):
            image_id = ann.get('image_id')
            row = found[image_id] if image_id in found else finder.find(video, image_id)
            keypoints = ann.get('keypoints') or []
            if row is None:
                if image_id not in found:  # else told by find_images
                    what = 'predictions for a frame that the ground truth does not have'
                    problems.append(Problem(name, what, str(image_id), label(ann)))
            elif keypoints and len(keypoints) != 3 * number:
                what = f'{len(keypoints)} numbers in "keypoints" instead of {3 * number}'
                problems.append(frames.problem(row, what, label(ann)))
            elif not all_finite(keypoints):
                problems.append(frames.problem(row, NOT_FINITE, label(ann)))
            elif (joint_scores := ann.get('scores')) and len(joint_scores) != number:
                what = f'{len(joint_scores)} "scores" for {number} keypoints'
                problems.append(frames.problem(row, what, label(ann)))
            elif keypoints:
                place.append(row)
                persons.append(ann)
        kept += persons
        points.append(keypoint_array(persons, columns, number))
        scores.append(score_array(persons, columns, number))
    joints = np.concatenate(points)
    table = PoseTable.from_columns(
        place,
        joints[..., :2],
        flags=joints[..., 2],
        scores=np.concatenate(scores),
        track_ids=[track if (track := a.get('track_id')) is not None else NO_TRACK for a in kept],
        names=[label(ann) for ann in kept],
    )
    return table, problems


class FrameFinder:
    """Finds the row of a frame by video and image id, or by video and file name.

    Args:
        frames: Frames of the ground truth.
    """

    def __init__(self, frames: FrameTable):
        self.frames = frames
        self.videos = {name: row for row, name in enumerate(frames.videos)}
        self.rows: dict = {}
        for row, (video, frame_id) in enumerate(zip(frames.video, frames.ids, strict=True)):
            self.rows[video, frame_id] = row
            folder, name = osp.split(frames.names[row])
            self.rows[video, name] = row
            # Without a video: by id or by path alone, as long as that is unambiguous.
            for key in ((None, frame_id), ('path', osp.basename(folder), name)):
                self.rows[key] = None if key in self.rows else row

    def find(self, video: int | None, image_id: int | str, name: str = '') -> int | None:
        """Return the row of a frame, None when the ground truth does not have it.

        Args:
            video: Row of the video, None to look in all.
            image_id: Id of the image.
            name: Path of the image, tried when no image of the video has this id: by its file
                name, or in all videos by folder and file name.
        """
        row = self.rows.get((video, image_id))
        if row is None and name:
            folder, file = osp.split(name)
            key = ('path', osp.basename(folder), file) if video is None else (video, file)
            row = self.rows.get(key)
        return row


def as_annotation(result: dict) -> dict:
    """Turn a COCO result, whose third keypoint values are scores, into a PoseTrack annotation."""
    keypoints = np.asarray(result.get('keypoints', []), dtype=np.float64).reshape(-1, 3)
    flagged = keypoints.copy()
    flagged[:, 2] = 1.0
    return {**result, 'keypoints': flagged.ravel().tolist(), 'scores': keypoints[:, 2].tolist()}


def find_images(
    name: str, document: dict, video: int | None, finder: FrameFinder, problems: list[Problem]
) -> dict:
    """Map a prediction file's image ids to frames; append what is unknown or missing."""
    if 'images' not in document:
        return {}
    found, frames = {}, finder.frames
    for image in document['images']:
        file_name = image.get('file_name', '')
        row = found[image['id']] = finder.find(video, image['id'], file_name)
        shown = file_name or str(image['id'])
        if row is None:
            problems.append(Problem(name, 'a frame that the ground truth does not have', shown))
            continue
        styles = frame_style(file_name), frame_style(frames.names[row])
        if None not in styles and styles[0] != styles[1]:
            what = f'mixed label versions: named as in {styles[0]}, ground truth as in {styles[1]}'
            problems.append(Problem(name, what, shown))
    videos = np.unique([frames.video[row] for row in found.values() if row is not None])
    wanted = np.isin(frames.video, videos if video is None else [video])
    for row in sorted(set(np.flatnonzero(wanted)) - set(found.values())):
        problems.append(frames.problem(row, 'missing in the predictions (write it, also empty)'))
    if video is None:
        problems += missing_videos([frames.videos[i] for i in videos], frames)
    return found


def missing_videos(names: list[str], frames: FrameTable) -> list[Problem]:
    """Compare the videos of predictions with those of the ground truth."""
    problems = [
        Problem(name, 'predictions for a video that the ground truth does not have')
        for name in sorted(set(names) - set(frames.videos))
    ]
    missing = [name for name in frames.videos if name not in set(names)]
    hint = ''
    if missing:
        share = f'{len(frames.videos) - len(missing)} of {len(frames.videos)}'
        hint = f' (the predictions have {share} videos: is it the same label version?)'
    return problems + [Problem(name, f'no predictions{hint}') for name in missing]


def score_array(annotations: list[dict], columns: np.ndarray, number: int) -> np.ndarray:
    """Stack the joint scores, NaN where a person has none, (P, 15)."""
    none = [None] * number
    rows = [ann.get('scores') or none for ann in annotations]
    return np.array(rows, dtype=np.float64).reshape(-1, number)[:, columns]  # (P, K) -> (P, 15)


def check_persons(
    frames: FrameTable,
    persons: PoseTable,
    *,
    tracking: bool = False,
    allow_missing_scores: bool = False,
) -> list[Problem]:
    """Find what makes predictions impossible to evaluate.

    Args:
        frames: Frames of the ground truth.
        persons: Predicted persons.
        tracking: Whether every person needs a track id.
        allow_missing_scores: Whether a joint may lack its score.

    Returns:
        A problem for each person with a joint without score, or a missing or repeated track.
    """
    problems = []

    def report(rows: Sequence[int], what: str) -> None:
        for row in rows:
            problems.append(frames.problem(persons.frame[row], what, persons.names[row]))

    if not allow_missing_scores:
        present = (persons.points != 0).any(axis=2) | (persons.flags != 0)
        unscored = (present & ~np.isfinite(persons.scores)).any(axis=1)
        report(np.flatnonzero(unscored), 'a joint has no score (AP ranks joints by "scores")')
    tracked = persons.track_ids != NO_TRACK
    if tracking:
        report(np.flatnonzero(~tracked), 'no track_id, which tracking needs')
    rows = np.flatnonzero(tracked)
    rows = rows[np.lexsort((persons.track_ids[rows], persons.frame[rows]))]
    same = np.diff(persons.frame[rows]) == 0
    same &= np.diff(persons.track_ids[rows]) == 0
    for row in rows[1:][same]:
        report([row], f'track_id {persons.track_ids[row]} is already in this frame')
    return problems
