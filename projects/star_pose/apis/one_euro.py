"""Temporal smoothing of poses: the one-euro filter, in units of the person's size."""

import numpy as np

__all__ = ['PoseSmoother']

_TREND = 0.5  # share of the speed that is expected to go on


class PoseSmoother:
    """Smooths the joints of every track; the slower a joint moves, the more.

    "1 EUR filter: a simple speed-based low-pass filter for noisy input in interactive systems",
    CHI 2012, with a trend: half of the speed so far is expected to go on, which takes most of the
    lag out. Coordinates are divided by the person's size, so that the same numbers serve near and
    far people, and the speed is that of the joint, not of its axes apart. The defaults were chosen
    on poses that the shipped models found in rendered videos: docs/findings.md says what they cost.

    Args:
        min_cutoff: Cut-off frequency in Hz of a joint at rest.
        beta: Hz that it rises by for each person's size a second.
        speed_cutoff: Cut-off in Hz of the speed itself.
        max_gap: Seconds after which a track begins anew.

    Raises:
        ValueError: If a frequency is not positive or ``beta`` negative.
    """

    def __init__(
        self,
        min_cutoff: float = 3.0,
        beta: float = 8.0,
        speed_cutoff: float = 4.0,
        max_gap: float = 1.0,
    ):
        if min(min_cutoff, speed_cutoff) <= 0 or beta < 0:
            raise ValueError(
                f'min_cutoff={min_cutoff} and speed_cutoff={speed_cutoff} must be positive, '
                f'beta={beta} not negative'
            )
        self.min_cutoff, self.beta, self.speed_cutoff = min_cutoff, beta, speed_cutoff
        self.max_gap = max_gap
        self._tracks: dict[int, tuple[float, int, np.ndarray, np.ndarray]] = {}

    def __call__(self, track: int, time: float, keypoints: np.ndarray, size: float) -> np.ndarray:
        """Smooth the next pose of a track.

        Args:
            track: Its id.
            time: Seconds, later than at the last call for this track.
            keypoints: (K, 2) pixels.
            size: Of the person, in pixels, such as its box's longer side.

        Returns:
            (K, 2) pixels.
        """
        before = self._tracks.get(track)
        gap = None if before is None else time - before[0]
        if gap is None or not 0 < gap <= self.max_gap:
            self._tracks[track] = time, 1, keypoints, np.zeros_like(keypoints)
            return keypoints
        _, count, last, speed = before
        expected = last + _TREND * gap * speed
        pace = np.linalg.norm(speed, axis=-1, keepdims=True) / max(size, 1.0)  # (K, 1)
        # While there is little to go by, new poses count as much as each old one
        taken = np.maximum(_share(self.min_cutoff + self.beta * pace, gap), 1 / (count + 1))
        learnt = max(_share(self.speed_cutoff, gap), 1 / count)
        smooth = expected + taken * (keypoints - expected)
        speed = speed + learnt * ((smooth - last) / gap - speed)
        self._tracks[track] = time, count + 1, smooth, speed
        return smooth

    def forget(self, before: float) -> None:
        """Drop tracks that were last seen before a time."""
        self._tracks = {track: s for track, s in self._tracks.items() if s[0] >= before}


def _share(cutoff: float | np.ndarray, gap: float) -> float | np.ndarray:
    """How much of the new value a low-pass filter takes."""
    radians = 2 * np.pi * cutoff * gap
    return radians / (1 + radians)
