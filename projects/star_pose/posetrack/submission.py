"""Write predictions as PoseTrack's servers and poseval read them: one json file a video."""

import json
import zipfile
from pathlib import Path

import numpy as np

from .joints import CATEGORY, KEYPOINTS, ROWS
from .tables import NO_TRACK, FrameTable, PoseTable

__all__ = ['write_submission']


def write_submission(
    frames: FrameTable, persons: PoseTable, folder: str | Path, *, zipped: bool = False
) -> list[Path]:
    """Write one file a video, with every frame, also those without persons.

    The servers want track ids below 1000 that are unique in a frame: tracks are renumbered from 0
    in each video, and persons without a track are numbered within their frame.

    Args:
        frames: Frames of the ground truth, or of the test set.
        persons: Predicted persons with joint scores.
        folder: Where to write; made when it is not there.
        zipped: Also write ``folder.zip`` with the files at its top level.

    Returns:
        The files, the archive last.

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
    if zipped:
        archive = folder.with_name(f'{folder.name}.zip')
        with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED) as target:
            for file in files:
                target.write(file, file.name)
        files.append(archive)
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
    keypoints[:, columns, 2] = (persons.points != 0).any(axis=2) | (persons.flags != 0)
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
