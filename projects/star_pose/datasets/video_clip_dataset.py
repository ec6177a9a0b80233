"""Any videos, as image folders or video files, with one COCO-form label file."""

import collections
import os.path as osp

from mmpose.datasets.datasets import CocoDataset
from mmpose.registry import DATASETS

from .errors import LabelError
from .frame_folder_dataset import FrameFolderDataset
from .frames.clip_reader import ClipReader, ClipReadError, split_ref, video_refs
from .frames.frame_lists import FolderIndex

__all__ = ['VideoClipDataset']


@DATASETS.register_module()
class VideoClipDataset(FrameFolderDataset):
    """Persons in the user's own videos.

    ``file_name`` of an image is a numbered image file (``match/frame_0012.jpg``; files of one
    folder with the same name before the number are one video; the numbering may have a step) or a
    frame of a video file (``match.mp4#12``, counted from 0). Any keypoint set: give MMPose's
    ``metainfo``, e.g. ``metainfo=dict(from_file='configs/_base_/datasets/coco.py')``, which is the
    default.

    Args:
        ann_file: COCO-form json file.
        **kwargs: As in :class:`FrameFolderDataset`.
    """

    METAINFO: dict = CocoDataset.METAINFO
    CONTIGUOUS = False
    LAYOUT = """
data_root/
  labels.json               COCO form; every image has id, file_name, and optionally nframes, vid_id
  <video>/frame_0001.jpg    image folders: file_name '<video>/frame_0001.jpg', or
  <video>.mp4               video files: file_name '<video>.mp4#0', frames counted from 0
"""
    REMEDIES = (
        'set data_root, ann_file and data_prefix=dict(img=...) to your videos (see docs/data.md)',
        'try everything without data of your own: python tools/make_synthetic_posetrack.py '
        '--out DIR and PoseTrackClipDataset',
    )

    def locate_frames(self, images: list[dict], index: FolderIndex) -> list[dict]:
        videos, files = collections.defaultdict(list), []
        for image in images:
            path, position = split_ref(image['img_path'])
            if position is None:
                files.append(image)
            else:
                videos[path].append((image, position))
        found = super().locate_frames(files, index)
        for path, members in videos.items():
            found += self._locate_in_video(path, members)
        return found

    def _locate_in_video(self, path: str, members: list[tuple[dict, int]]) -> list[dict]:
        if not osp.isfile(path):
            self.skips.reject_label(self.not_found('video file', path), 'missing files')
            return []
        try:
            refs = video_refs(path)
            height, width = ClipReader(cache_mb=0).read(refs[0]).shape[:2]
        except ClipReadError as error:
            self.skips.reject_label(error, 'unreadable files')
            return []
        self.video_frames[path] = refs
        found = []
        for image, position in members:
            if position >= len(refs):
                self.skips.reject_label(
                    LabelError(
                        f'{image["label_file"]}: {image["file_name"]} is out of range, the video '
                        f'has {len(refs)} frames (counted from 0)'
                    ),
                    'frames out of range',
                )
                continue
            image.update(sequence=path, frame_index=position, width=width, height=height)
            image.setdefault('vid_id', path)
            image.setdefault('frame_id', position)
            found.append(image)
        return found
