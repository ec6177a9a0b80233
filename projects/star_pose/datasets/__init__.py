from . import transforms
from .base_clip_dataset import BaseClipDataset
from .coco_still_clip_dataset import CocoStillClipDataset
from .errors import DataError, DataNotFoundError, LabelError, TooManySkipsError
from .frame_folder_dataset import FrameFolderDataset
from .frames.clip_reader import ClipReader, ClipReadError, video_refs
from .jhmdb_clip_dataset import JhmdbClipDataset
from .posetrack_clip_dataset import PoseTrackClipDataset
from .video_clip_dataset import VideoClipDataset

__all__ = [
    'BaseClipDataset',
    'ClipReadError',
    'ClipReader',
    'CocoStillClipDataset',
    'DataError',
    'DataNotFoundError',
    'FrameFolderDataset',
    'JhmdbClipDataset',
    'LabelError',
    'PoseTrackClipDataset',
    'TooManySkipsError',
    'VideoClipDataset',
    'transforms',
    'video_refs',
]
