"""Number the people of whole videos at once."""

import numpy as np

from .base_pose_tracker import UNTRACKED, BasePoseTracker

__all__ = ['track_videos']


def track_videos(
    tracker: BasePoseTracker,
    videos: np.ndarray,
    frames: np.ndarray,
    keypoints: np.ndarray,
    keypoint_scores: np.ndarray,
    boxes: np.ndarray | None = None,
    box_scores: np.ndarray | None = None,
) -> np.ndarray:
    """Run an online tracker over the predictions of many videos, in any order.

    Args:
        tracker: Reset before every video.
        videos: (P,) which video each person is in; anything that can be sorted.
        frames: (P,) index of the person's frame in its video.
        keypoints: (P, K, 2) pixels.
        keypoint_scores: (P, K).
        boxes: (P, 4) as x1 y1 x2 y2; around the joints where None.
        box_scores: (P,); 1 where None.

    Returns:
        (P,) track ids, which begin at 0 in every video; ``UNTRACKED`` (-1) for people that are not
        tracked.

    Raises:
        ValueError: As :meth:`BasePoseTracker.update`, naming the video too.
    """
    videos, frames = np.asarray(videos), np.asarray(frames)
    ids = np.full(len(frames), UNTRACKED)
    for video in np.unique(videos):
        tracker.reset()
        in_video = np.flatnonzero(videos == video)
        for frame in np.unique(frames[in_video]):
            rows = in_video[frames[in_video] == frame]
            try:
                ids[rows] = tracker.update(
                    int(frame),
                    keypoints[rows],
                    keypoint_scores[rows],
                    None if boxes is None else boxes[rows],
                    None if box_scores is None else box_scores[rows],
                )
            except ValueError as error:
                raise ValueError(f'video {video}: {error}') from error
    return ids
