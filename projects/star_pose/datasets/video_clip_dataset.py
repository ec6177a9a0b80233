"""Any videos, as image folders or video files, with one COCO-form label file."""

import collections
import os.path as osp

import av
from mmpose.datasets.datasets import CocoDataset
from mmpose.registry import DATASETS

from .errors import LabelError
from .frame_folder_dataset import FrameFolderDataset
from .frame_lists import FolderIndex

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
        """Find labelled frames in video files, and leave image files to the base class.

        Args:
            images: Label entries, each with ``img_path``.
            index: Listing of the image folders.

        Returns:
            The images whose frames are there, with ``sequence`` and ``frame_index``.
        """
        videos = collections.defaultdict(list)
        for image in images:
            path, mark, number = image['img_path'].rpartition('#')
            if mark and number.isdigit():
                videos[path].append((image, int(number)))
        files = [image for image in images if not _is_video_frame(image['img_path'])]
        found = super().locate_frames(files, index)
        for path, members in videos.items():
            found += self._locate_in_video(path, members)
        return found

    def _locate_in_video(self, path: str, members: list[tuple[dict, int]]) -> list[dict]:
        if not osp.isfile(path):
            self.skips.reject_label(self.not_found('video file', path))
            return []
        try:
            length, size = _probe(path)
        except (av.FFmpegError, LabelError) as error:
            self.skips.reject_label(LabelError(f'{path} cannot be read as a video: {error}'))
            return []
        self._video_frames[path] = [f'{path}#{number}' for number in range(length)]
        found = []
        for image, number in members:
            if number >= length:
                self.skips.reject_label(
                    LabelError(
                        f'{image["label_file"]}: {image["file_name"]} is out of range, the video '
                        f'has {length} frames (counted from 0)'
                    )
                )
                continue
            image.update(sequence=path, frame_index=number, img_path=f'{path}#{number}')
            image.setdefault('vid_id', path)
            image.setdefault('width', size[0])
            image.setdefault('height', size[1])
            found.append(image)
        return found


def _is_video_frame(path: str) -> bool:
    stem, mark, number = path.rpartition('#')
    return bool(mark and stem and number.isdigit())


def _probe(path: str) -> tuple[int, tuple[int, int]]:
    """Length in frames and size (w, h) of a video file."""
    with av.open(path) as container:
        if not container.streams.video:
            raise LabelError('it has no video stream')
        stream = container.streams.video[0]
        length = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
        return length, (stream.width, stream.height)
