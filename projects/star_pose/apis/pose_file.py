"""Poses of a video as a COCO-form json document."""

from collections.abc import Mapping, Sequence

import numpy as np

from .video_inferencer import FramePoses

__all__ = ['PoseDocument']


class PoseDocument:
    """Collects the poses of a video in a form that COCO's tools and our data sets read.

    As in PoseTrack's files, ``scores`` holds the scores of the joints, the third value of a
    keypoint is 1, and ``track_id`` numbers the people; it is absent for untracked ones.

    Args:
        dataset_meta: Metainfo of the joints: ``keypoint_id2name`` and ``skeleton_links``.
        info: How the poses were made; stored as ``info``.
        video: Name of the video; stored as ``vid_id``.
    """

    def __init__(self, dataset_meta: Mapping, info: Mapping, video: str):
        names = dataset_meta['keypoint_id2name']
        self.info = dict(info)
        self.video = video
        self.category = {
            'id': 1,
            'name': 'person',
            'keypoints': [names[joint] for joint in range(len(names))],
            'skeleton': [[a + 1, b + 1] for a, b in dataset_meta.get('skeleton_links', [])],
        }
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add(self, result: FramePoses) -> None:
        """Append a frame."""
        h, w = result.image.shape[:2]
        self.images.append(
            {
                'id': result.index,
                'file_name': result.ref.replace('\\', '/').rsplit('/', 1)[-1],
                'width': w,
                'height': h,
                'vid_id': self.video,
                'frame_id': result.index,
            }
        )
        for person in range(len(result.instances.bboxes)):
            self.annotations.append(_annotation(result, person, len(self.annotations)))

    def as_dict(self) -> dict:
        """``info``, ``categories``, ``images`` and ``annotations``, ready for json."""
        return {
            'info': self.info,
            'categories': [self.category],
            'images': [{**image, 'nframes': len(self.images)} for image in self.images],
            'annotations': self.annotations,
        }


def _annotation(result: FramePoses, person: int, annotation_id: int) -> dict:
    people = result.instances
    x1, y1, x2, y2 = people.bboxes[person]
    points = np.pad(people.keypoints[person], ((0, 0), (0, 1)), constant_values=1)  # (K, 3)
    annotation = {
        'id': annotation_id,
        'image_id': result.index,
        'category_id': 1,
        'iscrowd': 0,
        'bbox': _rounded([x1, y1, x2 - x1, y2 - y1]),
        'area': round(float((x2 - x1) * (y2 - y1)), 2),
        'score': round(float(people.bbox_scores[person]), 4),
        'keypoints': _rounded(points.ravel()),
        'num_keypoints': len(points),
        'scores': _rounded(people.keypoint_scores[person], 4),
    }
    if people.track_ids[person] >= 0:
        annotation['track_id'] = int(people.track_ids[person])
    return annotation


def _rounded(values: Sequence[float], digits: int = 2) -> list[float]:
    return [round(float(value), digits) for value in values]
