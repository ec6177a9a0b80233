"""Photographs with PoseTrack's joints, to be made into clips by the pipeline."""

from mmpose.datasets.datasets import PoseTrack18Dataset
from mmpose.registry import DATASETS

from .base_clip_dataset import BaseClipDataset

__all__ = ['CocoStillClipDataset']


@DATASETS.register_module()
class CocoStillClipDataset(BaseClipDataset):
    """Labelled persons in stills; samples have no ``video_frames``.

    For LSP-Extended (Johnson and Everingham, CVPR 2011) in COCO form with PoseTrack18's 17 joints
    (``tools/convert_lspe.py``), and with another ``metainfo`` for any COCO-form stills. The
    pipeline makes a clip of a still with ``PseudoClip``, or takes it as one frame.

    Args:
        ann_file: COCO-form json file.
        **kwargs: As in :class:`BaseClipDataset`.
    """

    METAINFO: dict = PoseTrack18Dataset.METAINFO
    LAYOUT = """
data_root/
  lspe_train.json  lspe_val.json   COCO form, 17 PoseTrack joints (tools/convert_lspe.py)
  images/im00001.jpg
"""
    REMEDIES = (
        'get LSP-Extended (hr-lspet) and convert it: python tools/convert_lspe.py ARCHIVE --out '
        'DIR (see docs/data.md), then set data_root=DIR',
        'try everything without a download: python tools/make_synthetic_posetrack.py --out DIR '
        'and PoseTrackClipDataset',
    )
