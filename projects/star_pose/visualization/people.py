"""Draw the people of a video frame: skeletons sized to the person, joints faded by score."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from .canvas import put_text, text_size

__all__ = ['draw_people', 'track_colour']

_UNTRACKED = (150, 150, 150)
# Hues that stay apart for colour-blind readers (Okabe and Ito, without the yellow, on which a white
# id cannot be read); repeated for more tracks.
_COLOURS = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (213, 94, 0),
    (86, 180, 233),
    (204, 121, 167),
)
_SHIFT = 4  # bits after the point in OpenCV's coordinates


def track_colour(track: int) -> tuple[int, int, int]:
    """RGB of a track; grey for -1."""
    return _COLOURS[track % len(_COLOURS)] if track >= 0 else _UNTRACKED


def draw_people(
    image: np.ndarray,
    keypoints: np.ndarray,
    scores: np.ndarray,
    boxes: np.ndarray,
    track_ids: Sequence[int],
    dataset_meta: Mapping,
    kpt_thr: float = 0.2,
) -> np.ndarray:
    """Draw everybody in a frame.

    Lines and points are a fixed share of the person's box, so that small people stay visible. How
    high scores get differs from model to model: a joint is as opaque as its score is of the
    person's highest.

    Args:
        image: (H, W, 3) uint8 RGB.
        keypoints: (P, K, 2) pixels.
        scores: (P, K).
        boxes: (P, 4) as x1 y1 x2 y2.
        track_ids: (P,), -1 for none.
        dataset_meta: With ``skeleton_links``, pairs of joints.
        kpt_thr: Joints below this share of the highest score are left out.

    Returns:
        (H, W, 3) uint8 RGB, a copy.
    """
    drawn = np.array(image)
    links = dataset_meta.get('skeleton_links', [])
    for pose, score, box, track in zip(keypoints, scores, boxes, track_ids, strict=True):
        colour = track_colour(int(track))
        size = float((box[2:] - box[:2]).max())
        opacity = score / max(float(score.max()), 1e-9)
        _draw_skeleton(drawn, pose, np.where(opacity < kpt_thr, 0, opacity), links, colour, size)
        corners = np.clip(np.rint(box), -32000, 32000).astype(int)
        cv2.rectangle(drawn, corners[:2].tolist(), corners[2:].tolist(), colour, 1, cv2.LINE_AA)
        if track >= 0:
            drawn = _tag(drawn, str(track), corners[:2], colour, size)
    return drawn


def _draw_skeleton(
    image: np.ndarray,
    pose: np.ndarray,
    opacity: np.ndarray,
    links: Sequence[tuple[int, int]],
    colour: tuple[int, int, int],
    size: float,
) -> None:
    """Draw into the image, limb by limb, each as opaque as its less certain end."""
    thickness = max(1, round(size / 50))
    radius = max(1.0, size / 60)
    points = np.clip(np.rint(pose * 2**_SHIFT), -(2**24), 2**24).astype(int)
    for a, b in links:
        share = min(opacity[a], opacity[b])
        _blend(
            image,
            np.stack([pose[a], pose[b]]),
            thickness,
            share,
            lambda part, shift, a=a, b=b: cv2.line(
                part,
                (points[a] - shift).tolist(),
                (points[b] - shift).tolist(),
                colour,
                thickness,
                cv2.LINE_AA,
                _SHIFT,
            ),
        )
    for joint, share in enumerate(opacity):
        _blend(
            image,
            pose[joint][None],
            radius,
            share,
            lambda part, shift, joint=joint: cv2.circle(
                part,
                (points[joint] - shift).tolist(),
                round(radius * 2**_SHIFT),
                (255, 255, 255),
                cv2.FILLED,
                cv2.LINE_AA,
                _SHIFT,
            ),
        )


def _blend(image: np.ndarray, points: np.ndarray, reach: float, share: float, draw) -> None:
    """Draw with an opacity, in the part of the image that the points span."""
    if share <= 0:
        return
    h, w = image.shape[:2]
    low = np.clip(np.floor(points.min(0) - reach - 2), 0, (w, h)).astype(int)
    high = np.clip(np.ceil(points.max(0) + reach + 3), 0, (w, h)).astype(int)
    if (high <= low).any():
        return
    part = image[low[1] : high[1], low[0] : high[0]]
    over = part.copy()
    draw(over, low * 2**_SHIFT)
    cv2.addWeighted(over, float(share), part, 1 - float(share), 0, dst=over)
    part[:] = over


def _tag(
    image: np.ndarray, text: str, corner: np.ndarray, colour: Sequence[int], size: float
) -> np.ndarray:
    """A filled label that stands on the box's upper left corner, inside the image."""
    height = int(np.clip(size / 8, 9, 24))
    w, h = text_size(text, height)
    x = int(np.clip(corner[0], 0, max(0, image.shape[1] - w - 4)))
    y = int(np.clip(corner[1] - h, 0, max(0, image.shape[0] - h)))
    part = image[y : y + h, x : x + w + 4]
    if part.size == 0:
        return image
    label = np.full(part.shape, colour, np.uint8)
    part[:] = put_text(label, text, (2, 0), height, (255, 255, 255))
    return image
