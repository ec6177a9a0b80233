"""Sub-JHMDB as clips."""

from mmpose.datasets.datasets import JhmdbDataset
from mmpose.registry import DATASETS

from .frame_folder_dataset import FrameFolderDataset

__all__ = ['JhmdbClipDataset']


@DATASETS.register_module()
class JhmdbClipDataset(FrameFolderDataset):
    """Sub-JHMDB persons with the frames around them (Jhuang et al., ICCV 2013).

    316 clips of 320x240 px, 15 joints, three splits whose mean is reported. Reads MMPose's files
    (``annotations/Sub1_train.json`` ... ``Sub3_test.json``), whose pixel coordinates count from 1
    as in Matlab: they are moved to 0, in ``raw_ann_info`` too.

    Args:
        ann_file: MMPose's json file of one split.
        **kwargs: As in :class:`FrameFolderDataset`.
    """

    METAINFO: dict = JhmdbDataset.METAINFO
    ZERO_BASED_LABELS = False
    LAYOUT = """
data_root/
  annotations/Sub1_train.json  Sub1_test.json ... Sub3_test.json   MMPose's files
  Rename_Images/<action>/<clip>/00001.png                          frames, 5 digits from 1
"""
    REMEDIES = (
        'get JHMDB (http://jhmdb.is.tue.mpg.de) and make the splits with tools/convert_jhmdb.py, '
        "or take MMPose's files (see docs/data.md)",
        'try everything without a download: python tools/make_synthetic_posetrack.py --out DIR '
        'and PoseTrackClipDataset',
    )

    def first_frame(self, digits: int) -> int | None:
        return 1

    def parse_data_info(self, raw_data_info: dict) -> dict | None:
        annotation = dict(raw_data_info['raw_ann_info'])
        for field, is_coordinate in (
            ('bbox', lambda place: place < 2),
            ('keypoints', lambda place: place % 3 < 2),
        ):
            if isinstance(annotation.get(field), list):
                annotation[field] = [
                    v - 1 if is_coordinate(place) and isinstance(v, (int, float)) else v
                    for place, v in enumerate(annotation[field])
                ]
        return super().parse_data_info({**raw_data_info, 'raw_ann_info': annotation})

    def describe(self) -> str:
        return f'{super().describe()}; coordinates moved from 1-based to 0-based'
