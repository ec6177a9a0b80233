from .base_pose_tracker import UNTRACKED, BasePoseTracker, track_videos
from .pose_tracker import GreedyIoUTracker, PoseTracker

__all__ = ['UNTRACKED', 'BasePoseTracker', 'GreedyIoUTracker', 'PoseTracker', 'track_videos']
