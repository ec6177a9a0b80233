"""Results as tables: Markdown, a LaTeX row and a json file."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .evaluate import PoseTrackResult, VideoResult
from .joints import GROUPS, JOINTS

__all__ = [
    'describe',
    'joint_table',
    'latex_row',
    'markdown_table',
    'summary_table',
    'video_table',
    'write_json',
]

NOT_SAID = 'not said'


def cell(value: float) -> str:
    """Format a percentage; a dash where there is none."""
    return '-' if np.isnan(value) else f'{value:.1f}'


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """Lay out a Markdown table whose columns line up."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [text.rjust(width) for text, width in zip(cells[1:], widths[1:], strict=True)]
        return f'| {" | ".join(padded)} |'

    rule = ['-' * widths[0]] + ['-' * (width - 1) + ':' for width in widths[1:]]
    return '\n'.join([line(header), line(rule), *(line(row) for row in rows)])


def columns(result: VideoResult, what: str = 'AP') -> list[str]:
    """Return the field's eight columns of AP or MOTA."""
    values = result.metrics()
    return [cell(values[f'{group} {what}']) for group in GROUPS] + [cell(values[what])]


def summary_table(result: PoseTrackResult) -> str:
    """Return AP, and MOTA where it was evaluated, by the columns of the field's tables."""
    rows = [['AP', *columns(result.total)]]
    if result.total.tracking is not None:
        rows += [[name, *columns(result.total, name)] for name in ('MOTA', 'MOTP')]
    return markdown_table(['', *GROUPS, 'Total'], rows)


def latex_row(result: PoseTrackResult, name: str = 'STAR-Pose') -> str:
    """Return the AP columns as a row of a LaTeX table."""
    return f'{name} & {" & ".join(columns(result.total))} \\\\'


def joint_table(result: PoseTrackResult) -> str:
    """Return AP, precision and recall, and MOTA and MOTP where evaluated, of every joint."""
    ap, tracking = result.total.ap, result.total.tracking
    header, values = ['joint', 'AP', 'precision', 'recall'], [ap.ap, ap.precision, ap.recall]
    if tracking is not None:
        header += ['MOTA', 'MOTP']
        values += [tracking.mota[:15], tracking.motp[:15]]
    rows = [[joint, *(cell(column[i]) for column in values)] for i, joint in enumerate(JOINTS)]
    return markdown_table(header, rows)


def video_table(result: PoseTrackResult) -> str:
    """Return one row a video, the lowest AP first; videos without AP stand at the end."""
    order = sorted(
        result.videos.items(), key=lambda item: np.nan_to_num(item[1].ap.total, nan=np.inf)
    )
    tracked = result.total.tracking is not None
    header = ['video', *GROUPS, 'AP', *(['MOTA'] if tracked else [])]
    rows = [
        [name, *columns(video), *([cell(video.tracking.mota[15])] if tracked else [])]
        for name, video in order
    ]
    return markdown_table(header, rows)


def describe(counts: Mapping[str, int], provenance: Mapping) -> str:
    """Say in a few lines what was evaluated and what the predictions were made with.

    Args:
        counts: The counts of a result.
        provenance: Its provenance; what is not known is said to be so.

    Returns:
        The lines.
    """
    known = {
        'labels': provenance.get('label_version'),
        'rules': provenance.get('rules'),
        'box source': provenance.get('box_source'),
        'score rule': provenance.get('score_rule'),
        'T': provenance.get('num_frames'),
        'LR size (w, h)': provenance.get('lr_size'),
        'degradation': provenance.get('degradation'),
    }
    lines = [f'{name}: {NOT_SAID if value is None else value}' for name, value in known.items()]
    text = '; '.join(lines)
    text += (
        f'\nevaluated {counts["videos"]} videos, {counts["frames"]} frames, {counts["persons"]} '
        f'labelled and {counts["predictions"]} predicted persons'
        f'\ndropped: {counts["persons_without_head_box"]} persons without a head box, '
        f'{counts["frames_without_head_box"]} frames with no other person, with their predictions'
    )
    if counts['tied_scores']:
        text += (
            f'\n{counts["tied_scores"]} scores are shared by true and false positives: '
            'AP depends on the order of videos'
        )
    return text


def write_json(result: PoseTrackResult, path: str | Path) -> None:
    """Write the result; the folder is made when it is not there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result.as_dict(), indent=1) + '\n')
