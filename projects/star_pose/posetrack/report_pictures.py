"""Pictures that explain a result: precision-recall curves and the worst cases."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .evaluate import PoseTrackResult
from .joints import GROUPS, JOINTS, LIMBS
from .score_ap import precision_recall

__all__ = ['WorstCase', 'find_worst', 'plot_curves', 'save_worst']

# BGR: green, red and amber
TRUTH_COLOUR, PREDICTED_COLOUR, OTHER_COLOUR = (80, 200, 80), (60, 60, 230), (40, 170, 230)
LARGEST = 1024  # pixels; a stray prediction can be anywhere
MARGIN = 0.25  # of the person's size, around it


def plot_curves(result: PoseTrackResult, folder: str | Path) -> list[Path]:
    """Plot precision over recall, one PNG file for each column of joints; return the files."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    matching, files = result.matching, []
    for group, joints in GROUPS.items():
        figure = Figure(figsize=(4, 4), layout='constrained')
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(
            xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1.02), title=group
        )
        for name in joints:
            joint = JOINTS.index(name)
            chosen = matching.predicted_present[:, joint]
            precision, recall = precision_recall(
                matching.predicted.scores[chosen, joint],
                matching.hits[chosen, joint],
                int(matching.truth_present[:, joint].sum()),
            )
            axes.plot(recall, precision, label=f'{name}, AP {result.total.ap.ap[joint]:.1f}')
        axes.grid(alpha=0.3)
        axes.legend(loc='lower left')
        files.append(folder / f'{group.lower()}.png')
        figure.savefig(files[-1], dpi=120)
    return files


@dataclass
class WorstCase:
    """A labelled person that was found badly.

    Attributes:
        truth: Row of the person in the matching's ``truth``.
        predicted: Row of the assigned prediction, -1 when the person was missed.
        found: Joints that were hit.
        labelled: Joints that are labelled.
        error: Mean distance of the joints in head sizes, NaN when the person was missed.
    """

    truth: int
    predicted: int
    found: int
    labelled: int
    error: float


def find_worst(result: PoseTrackResult, number: int) -> list[WorstCase]:
    """Return the ``number`` labelled persons with the largest share of missed joints.

    Among equals those with more joints come first, then those with the larger error. Persons whose
    every joint was hit are not among them.
    """
    matching = result.matching
    predicted = np.full(len(matching.truth), -1)
    matched = np.flatnonzero(matching.match >= 0)
    predicted[matching.match[matched]] = matched
    cases = []
    for truth, row in enumerate(predicted):
        present = matching.truth_present[truth]
        labelled = int(present.sum())
        found, error = 0, float('nan')
        if row >= 0:
            found = int((matching.hits[row] & present).sum())
            both = present & matching.predicted_present[row]
            offset = matching.truth.points[truth, both] - matching.predicted.points[row, both]
            lengths = np.linalg.norm(offset, axis=1)
            error = float(lengths.mean() / matching.truth.head_sizes[truth])
        if found < labelled:
            cases.append(WorstCase(truth, int(row), found, labelled, error))
    cases.sort(key=lambda c: (c.found / c.labelled, -c.labelled, -np.nan_to_num(c.error)))
    return cases[:number]


def save_worst(
    result: PoseTrackResult, number: int, folder: str | Path, images: str | Path | None = None
) -> list[str]:
    """Draw the worst cases: labels in green, the assigned prediction in red, others in amber.

    Args:
        result: An evaluation.
        number: How many persons to draw.
        folder: Where to write.
        images: Folder that the annotations' file names start in; else, or where a frame is not
            there, the ground is grey.

    Returns:
        One line a person: file, place, joints found.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    frames, matching, lines = result.frames, result.matching, []
    for rank, case in enumerate(find_worst(result, number), start=1):
        row = int(matching.truth.frame[case.truth])
        video, frame = frames.videos[frames.video[row]], Path(frames.names[row]).stem
        file = folder / f'{rank:03d}_{video}_{frame}.png'
        cv2.imwrite(str(file), draw_case(result, case, images))
        outcome = 'missed' if case.predicted < 0 else f'mean error {case.error:.2f} head sizes'
        lines.append(
            f'{file.name}: video {video}, frame {frame}, person {matching.truth.names[case.truth]}:'
            f' {case.found} of {case.labelled} joints, {outcome}'
        )
    return lines


def draw_case(result: PoseTrackResult, case: WorstCase, images: str | Path | None) -> np.ndarray:
    """Draw one person, cut out with a margin, 256 px tall or more, and no side over 1024 px.

    Returns:
        Picture, (H, W, 3) uint8 BGR.
    """
    matching = result.matching
    present = matching.truth_present[case.truth]
    frame = matching.truth.frame[case.truth]
    poses = [
        (
            matching.predicted.points[row],
            matching.predicted_present[row],
            PREDICTED_COLOUR if row == case.predicted else OTHER_COLOUR,
        )
        for row in np.flatnonzero(matching.predicted.frame == frame)
    ]
    poses.append((matching.truth.points[case.truth], present, TRUTH_COLOUR))
    points = np.concatenate([pose[shown] for pose, shown, c in poses if c != OTHER_COLOUR])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = MARGIN * max((high - low).max(), 16.0)
    low, high = np.floor(low - margin).astype(int), np.ceil(high + margin).astype(int)

    ground = read_frame(result, int(frame), images)
    size = high - low
    zoom = min(max(1.0, 256 / size[1]), LARGEST / size.max())
    shift = np.array([[zoom, 0, -zoom * low[0]], [0, zoom, -zoom * low[1]]])
    shape = tuple(int(side) for side in np.ceil(size * zoom))
    canvas = cv2.warpAffine(ground, shift, shape, borderValue=(96, 96, 96))
    for pose, shown, colour in poses:
        place = np.round((pose - low) * zoom).astype(int)
        for start, end in LIMBS:
            if shown[start] and shown[end]:
                cv2.line(canvas, place[start].tolist(), place[end].tolist(), colour, 1, cv2.LINE_AA)
        for joint in np.flatnonzero(shown):
            cv2.circle(canvas, place[joint].tolist(), 3, colour, -1, cv2.LINE_AA)
    return canvas


def read_frame(result: PoseTrackResult, row: int, images: str | Path | None) -> np.ndarray:
    """Read a frame, or return one grey pixel, which the border then continues."""
    if images is not None:
        image = cv2.imread(str(Path(images) / result.frames.names[row]))
        if image is not None:
            return image
    return np.full((1, 1, 3), 96, np.uint8)
