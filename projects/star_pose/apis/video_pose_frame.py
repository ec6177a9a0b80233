"""The people of a frame: what a video's poses are given as."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ['VideoPoseFrame']


@dataclass
class VideoPoseFrame:
    """The people of a frame.

    Attributes:
        index: Number of the frame in its source, from 0.
        time: Seconds since the first frame.
        name: Of the frame: ``match.mp4#12``, or the name of an image file.
        image: (H, W, 3) uint8 BGR, read-only.
        keypoints: (P, K, 2) pixels, of P people.
        scores: (P, K) of the joints.
        boxes: (P, 4) as x1 y1 x2 y2.
        box_scores: (P,).
        track_ids: (P,), -1 where a person is not tracked.
        latency: Seconds from the arrival of the frame to this result.
        duration: Seconds that the frame is shown, None where its source does not say.
        certain: Whether ``index`` is certain; behind damage in a video it is a guess.
    """

    index: int
    time: float
    name: str
    image: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    box_scores: np.ndarray
    track_ids: np.ndarray
    latency: float = 0.0
    duration: float | None = None
    certain: bool = True
