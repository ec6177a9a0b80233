from .appearance import person_looks
from .base_pose_tracker import UNTRACKED, BasePoseTracker, track_videos
from .pose_tracker import GreedyIoUTracker, PoseTracker

__all__ = [
    'UNTRACKED',
    'BasePoseTracker',
    'GreedyIoUTracker',
    'PoseTracker',
    'person_looks',
    'track_videos',
]
