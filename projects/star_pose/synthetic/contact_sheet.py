"""A picture that shows at a glance what a data set holds."""

import json
import pathlib

import cv2
import numpy as np

from ..posetrack.joints import KEYPOINTS

__all__ = ['contact_sheet', 'draw_labels']

_LEFT, _RIGHT, _MIDDLE = (80, 220, 60), (60, 140, 255), (255, 190, 60)  # BGR
_BONES = (
    ('head_top', 'head_bottom'), ('nose', 'head_bottom'), ('left_shoulder', 'right_shoulder'),
    ('left_hip', 'right_hip'), *((f'{s}_{a}', f'{s}_{b}') for s in ('left', 'right') for a, b in (
        ('shoulder', 'elbow'), ('elbow', 'wrist'), ('shoulder', 'hip'), ('hip', 'knee'),
        ('knee', 'ankle'))),
)  # fmt: skip


def draw_labels(image: np.ndarray, annotations: list[dict], ignore_x, ignore_y) -> np.ndarray:
    """Draw keypoints (left green, right orange), head boxes and ignore regions on a copy.

    Args:
        image: (h, w, 3) uint8 BGR.
        annotations: Entries of PoseTrack18's `annotations` of this image.
        ignore_x: Polygons of the ignore regions, x.
        ignore_y: The same, y.
    """
    image = image.copy()
    for x, y in zip(ignore_x, ignore_y, strict=True):
        cv2.polylines(image, [np.stack([x, y], 1).astype(np.int32)], True, (255, 255, 255), 1)
    for entry in annotations:
        points = np.array(entry['keypoints'], float).reshape(-1, 3)  # (17, 3)
        at = {
            name: tuple(np.rint(p[:2]).astype(int).tolist())
            for name, p in zip(KEYPOINTS, points, strict=True)
            if p[2] > 0
        }
        for a, b in _BONES:
            if a in at and b in at:
                cv2.line(image, at[a], at[b], _colour(a, b), 1, cv2.LINE_AA)
        for name, point in at.items():
            cv2.circle(image, point, 2, _colour(name, name), -1, cv2.LINE_AA)
        x, y, w, h = entry['bbox_head']
        cv2.rectangle(image, (x, y), (x + w, y + h), (230, 80, 230), 1)
    return image


def _colour(a: str, b: str) -> tuple[int, int, int]:
    if a.startswith('left') and b.startswith('left'):
        return _LEFT
    return _RIGHT if a.startswith('right') and b.startswith('right') else _MIDDLE


def contact_sheet(
    root: str | pathlib.Path, rows: int = 5, columns: int = 4, tile: tuple[int, int] = (320, 180)
) -> np.ndarray:
    """Tile frames of a data set's first videos: one video a row, the last column with labels.

    Args:
        root: Folder of the data set.
        rows: Most videos shown.
        columns: Frames a video.
        tile: Size of a tile (w, h), pixels.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    root = pathlib.Path(root)
    files = sorted(root.glob('annotations/*/*_mpii_*.json'), key=lambda p: p.name)[:rows]
    if not files:
        raise FileNotFoundError(f'{root} holds no annotations/*/*_mpii_*.json')
    sheet = []
    for file in files:
        labels = json.loads(file.read_text())
        labelled = [image for image in labels['images'] if image['is_labeled']]
        picks = np.linspace(0, len(labelled) - 1, columns).round().astype(int)
        row = []
        for column, pick in enumerate(picks):
            record = labelled[pick]
            image = cv2.imread(str(root / record['file_name']))
            if column == columns - 1:
                entries = [a for a in labels['annotations'] if a['image_id'] == record['id']]
                image = draw_labels(
                    image, entries, record['ignore_regions_x'], record['ignore_regions_y']
                )
            row.append(cv2.resize(image, tile, interpolation=cv2.INTER_AREA))
        sheet.append(np.hstack(row))
    return np.vstack(sheet)
