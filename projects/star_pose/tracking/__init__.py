from .base_pose_tracker import UNTRACKED, BasePoseTracker
from .greedy_iou_tracker import GreedyIoUTracker
from .pose_tracker import PoseTracker
from .track_videos import track_videos

__all__ = ['UNTRACKED', 'BasePoseTracker', 'GreedyIoUTracker', 'PoseTracker', 'track_videos']
