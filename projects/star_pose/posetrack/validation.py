"""Check a folder of predictions against the annotations before a server does."""

from pathlib import Path

from .labels import label, load_documents
from .predictions import check_persons, parse_predictions
from .tables import FrameTable, PoseTrackError, Problem

__all__ = ['validate_submission']

# poseval offsets the tracks of each sequence by this number.
MAX_TRACK_ID = 10000


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
    videos = set(frames.videos)
    for name, document in documents:
        if name in videos:
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
    for ann in document.get('annotations', []):
        track = ann.get('track_id')
        if track is not None and not (isinstance(track, int) and 0 <= track < MAX_TRACK_ID):
            what = f'track_id {track!r} must be an integer in [0, {MAX_TRACK_ID})'
            frame = str(shown.get(ann.get('image_id'), ''))
            problems.append(Problem(name, what, frame, label(ann)))
    return problems
