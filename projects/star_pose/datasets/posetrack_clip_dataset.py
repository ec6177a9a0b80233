"""PoseTrack17, PoseTrack18 and PoseTrack21 as clips."""

from mmpose.datasets.datasets import PoseTrack18Dataset
from mmpose.registry import DATASETS

from ..posetrack.read_labels import name_of_labels
from .frame_folder_dataset import FrameFolderDataset

__all__ = ['PoseTrackClipDataset']

_NAMING = {8: 'PoseTrack17', 6: 'PoseTrack18 or 21'}


@DATASETS.register_module()
class PoseTrackClipDataset(FrameFolderDataset):
    """PoseTrack persons with the frames around them.

    Andriluka et al., CVPR 2018; PoseTrack21: Doering et al., CVPR 2022.

    Reads MMPose's merged COCO-form files and the folders of per-video json files of the official
    releases alike. PoseTrack17 names its frames in 8 digits from 1, PoseTrack18 and 21 in 6 digits
    from 0; which one it is, the names in the labels say. The keypoints are PoseTrack18's 17.

    Args:
        ann_file: Merged json file, or folder of per-video json files.
        **kwargs: As in :class:`FrameFolderDataset`.
    """

    METAINFO: dict = PoseTrack18Dataset.METAINFO
    LAYOUT = """
data_root/
  annotations/posetrack18_val.json                  MMPose's merged file, or
  annotations/val/<video>.json                      the official folder (ann_file='annotations/val')
  annotations/posetrack18_val_human_detections.json detected boxes (bbox_file)
  images/val/<video>/000000.jpg                     PoseTrack18, 21: 6 digits from 0
  images/<part>/<video>/00000001.jpg                PoseTrack17: 8 digits from 1
"""
    REMEDIES = (
        'get PoseTrack from its owners (https://posetrack.net), the merged labels from MMPose '
        '(see docs/data.md), and set data_root',
        'try everything without a download: python tools/make_synthetic_posetrack.py --out DIR, '
        'then set data_root=DIR',
    )

    def first_frame(self, digits: int) -> int | None:
        return 1 if digits == 8 else 0

    def describe(self) -> str:
        version = name_of_labels(self.counts['sequences'], self.counts['labelled frames'])
        digits = sorted({name.digits for name in self.frame_names.values()})
        form = ', '.join(f'{d} digits ({_NAMING.get(d, "unknown naming")})' for d in digits)
        return f'{super().describe()}; label set: {version}; frame names: {form}'
