"""Common base of the clip data sets: COCO-form labels, frame lists, and a policy for bad data."""

import os.path as osp

import numpy as np
from mmengine.logging import MessageHub, print_log
from mmpose.datasets.transforms import GetBBoxCenterScale

from .cache.clip_cache import ClipCache
from .errors import DataNotFoundError, LabelError
from .frames.frame_lists import FolderIndex
from .labels.detected_boxes import read_detected_persons
from .labels.label_faults import annotation_fault, num_labelled, serve_coco_metric
from .labels.label_files import complete_sizes, read_labels, reject_strays, resolve_paths
from .skipping_dataset import SkippingDataset

__all__ = ['BaseClipDataset']

_VIDEO_FIELDS = ('sequence', 'frame_index', 'vid_id', 'frame_id')


class BaseClipDataset(SkippingDataset):
    """One labelled person in one frame a sample, with the frames around it.

    A sample has the fields of MMPose's COCO-style data sets and, in a video, ``video_frames``
    (list of str, all frames in time order, shared between samples: not to be modified) and
    ``frame_index`` (int, position of ``img_path`` in it); where the labels have them also
    ``track_id``, ``vid_id``, ``frame_id`` and ``head_box`` ((1, 4) float32, xyxy). Subclasses
    override :meth:`locate_frames`; image and annotation ids are never renumbered.

    Args:
        ann_file: COCO-form json file, or a folder with one json file a video.
        bbox_file: Detected boxes for testing, a COCO result json: a list of dicts with
            ``image_id``, ``category_id``, ``bbox`` (xywh) and ``score``.
        **kwargs: Arguments of :class:`SkippingDataset`, whose ``on_error`` decides about label
            entries too: an unusable one ends the run, or is left out, counted and logged. Persons
            marked as crowd or without a labelled joint are left out and counted in any case.

    Raises:
        DataNotFoundError: Labels or frames are not there.
        LabelError: Labels are damaged, empty or contradict the frames.
        ValueError: An argument is out of range.
    """

    LAYOUT: str = ''
    REMEDIES: tuple[str, ...] = ()
    ZERO_BASED_LABELS: bool = True

    def __init__(
        self,
        ann_file: str = '',
        *,
        bbox_file: str | None = None,
        **kwargs,
    ) -> None:
        if kwargs.get('data_mode', 'topdown') != 'topdown':
            raise ValueError(
                f'{type(self).__name__} gives one person a sample: data_mode must be "topdown", '
                f'got {kwargs["data_mode"]!r}'
            )
        interval = kwargs.get('sample_interval', 1)
        if not isinstance(interval, int) or interval < 1:
            raise ValueError(f'sample_interval must be a whole number from 1 on, got {interval!r}')
        self.counts: dict[str, int] = {}
        self.video_frames: dict[str, list[str]] = {}
        self._labels_serve_coco_metric = False
        super().__init__(ann_file=ann_file, bbox_file=bbox_file, **kwargs)
        self._publish_ann_file()

    def locate_frames(self, images: list[dict], index: FolderIndex) -> list[dict]:
        """Find the files of all labelled images and, for videos, the frames around them.

        Args:
            images: Label entries, each with ``img_path``, ``is_labeled`` and ``has_persons``.
            index: Listing of the image folders.

        Returns:
            The images whose files are there. Those of videos also have ``sequence`` (a key of
            ``self.video_frames``) and ``frame_index``.
        """
        found = []
        for image in images:
            if index.has(image['img_path']):
                found.append(image)
            else:
                error = self.not_found('image', image['img_path'])
                self.skips.reject_label(error, 'missing files')
        return found

    def describe(self) -> str:
        """What was loaded, for the log, with the numbers of everything."""
        numbers = ', '.join(f'{count} {what}' for what, count in self.counts.items() if count)
        source = f'detected ({self.bbox_file})' if self.bbox_file else 'ground truth'
        return f'{type(self).__name__} {self.ann_file}: {numbers}; boxes: {source}'

    def not_found(self, what: str, path: str, hint: str = '') -> DataNotFoundError:
        """The error for a missing file of this data set, with a remedy to name first."""
        remedies = ((hint,) if hint else ()) + self.REMEDIES
        what = f'{type(self).__name__}: {what}'
        return DataNotFoundError.describe(what, path, self.LAYOUT, remedies)

    def full_init(self) -> None:
        if self._fully_initialized:
            return
        super().full_init()
        self._check_cache()
        self._publish_ann_file()
        print_log(self.describe(), 'current')
        if self.skips.summary():
            print_log(self.skips.summary(), 'current')

    def filter_data(self) -> list[dict]:
        data_list = super().filter_data()
        if not data_list:
            raise LabelError(
                f'{type(self).__name__}: no usable person in {self.ann_file} ({self.counts}): the '
                'split is empty, all joints are unlabelled, or filter_cfg leaves nothing'
            )
        return data_list

    def _read_images(self) -> tuple[dict, list[dict]]:
        """Read the label file: the images that can be used, by id, and all annotations."""
        if not self.ann_file or not osp.exists(self.ann_file):
            raise self.not_found('annotation file', self.ann_file)
        labels = read_labels(self.ann_file)
        annotations = labels['annotations']
        self._metainfo['CLASSES'] = labels['categories']
        self._labels_serve_coco_metric = (
            self.ZERO_BASED_LABELS and osp.isfile(self.ann_file) and serve_coco_metric(annotations)
        )
        labelled = {annotation['image_id'] for annotation in annotations}
        chosen = [
            dict(
                image,
                is_labeled=bool(image.get('is_labeled', image['id'] in labelled)),
                has_persons=image['id'] in labelled,
            )
            for image in labels['images']
            if self._is_chosen(image)
        ]
        images = resolve_paths(chosen, self.data_prefix.get('img') or '', self.skips)
        located = self.locate_frames(images, FolderIndex())
        if images and not located:
            what = f'any of {len(images)} labelled images (the first is named)'
            raise self.not_found(what, images[0]['img_path'])
        usable = complete_sizes(located, self.skips)
        reject_strays(labels, self.ann_file, self.skips)
        self.skips.check_labels(len(labels['images']) + len(annotations))
        self.counts = {
            'sequences': len(self.video_frames),
            'images': len(labels['images']),
            'labelled frames': sum(image['is_labeled'] for image in usable),
            **self.counts,
        }
        return {image['id']: image for image in usable}, annotations

    def _is_chosen(self, image: dict) -> bool:
        """Whether ``sample_interval`` leaves the image in; MMPose counts by ids."""
        if self.sample_interval == 1:
            return True
        if isinstance(image['id'], str):
            raise LabelError(
                f'{image["label_file"]}: image id {image["id"]!r} is text, sample_interval='
                f'{self.sample_interval} takes every n-th number: number the images, or leave it 1'
            )
        return image['id'] % self.sample_interval == 0

    def _load_annotations(self) -> tuple[list[dict], list[dict]]:
        """Read the labels, one file or many; MMPose's own takes one file and asserts."""
        images, annotations = self._read_images()
        self.counts.update({'persons': 0, 'crowd': 0, 'without joints': 0, 'invalid': 0})
        instances = []
        for annotation in annotations:
            if annotation['image_id'] in images:
                image = images[annotation['image_id']]
                instances.append(
                    self.parse_data_info(dict(raw_ann_info=annotation, raw_img_info=image))
                )
        self.skips.check_labels(len(annotations) + len(images))
        return [instance for instance in instances if instance], list(images.values())

    def load_entries(self) -> tuple[list[dict], list[dict]]:
        """Load persons and images apart from each other, for tools that look at both.

        Returns:
            The samples before the pipeline, and the label entries of the usable images.
        """
        instances, images = self._load_annotations()
        return self._get_topdown_data_infos(instances), images

    def _get_topdown_data_infos(self, instance_list: list[dict]) -> list[dict]:
        data_list = super()._get_topdown_data_infos(instance_list)
        self.counts['invalid'] = len(instance_list) - len(data_list)
        self.counts['persons'] = len(data_list)
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict | None:
        annotation, image = dict(raw_data_info['raw_ann_info']), raw_data_info['raw_img_info']
        fault = annotation_fault(annotation, image, self._metainfo['num_keypoints'])
        if fault:
            kind, text = fault
            text = f'{image["label_file"]}: annotation {annotation["id"]}: {text}'
            self.skips.reject_label(LabelError(text), kind)
            return None
        if annotation.get('iscrowd'):
            self.counts['crowd'] += 1
            return None
        if not num_labelled(annotation):
            self.counts['without joints'] += 1
            return None
        annotation.update(iscrowd=0, num_keypoints=num_labelled(annotation))
        annotation.setdefault('category_id', 1)
        info = super().parse_data_info(dict(raw_ann_info=annotation, raw_img_info=image))
        info['raw_ann_info'].setdefault('area', float(info['area']))
        if annotation.get('track_id') is not None:
            info['track_id'] = annotation['track_id']
        if annotation.get('bbox_head'):
            x, y, width, height = annotation['bbox_head']
            info['head_box'] = np.array([[x, y, x + width, y + height]], dtype=np.float32)
        return {**info, **_video_fields(image)}

    def _load_detection_results(self) -> list[dict]:
        """Load detected boxes; the joints are placeholders that are not labelled."""
        images, _ = self._read_images()
        if not osp.exists(self.bbox_file):
            raise self.not_found('file of detected boxes (bbox_file)', self.bbox_file)
        samples = read_detected_persons(
            self.bbox_file, images, self._metainfo['num_keypoints'], self.skips, self.counts
        )
        for sample in samples:
            sample.update(_video_fields(images[sample['img_id']]))
        return samples

    def get_data_info(self, idx: int) -> dict:
        info = super().get_data_info(idx)
        sequence = info.pop('sequence', None)
        if sequence is not None:  # the list is shared between samples, not copied
            info['video_frames'] = self.video_frames[sequence]
        return info

    def _check_cache(self) -> None:
        """Refuse a person-clip cache that was cut for boxes of another padding."""
        steps = getattr(getattr(self, 'pipeline', None), 'transforms', [])
        caches = [step.cache for step in steps if getattr(step, 'cache', None) is not None]
        paddings = [step.padding for step in steps if isinstance(step, GetBBoxCenterScale)]
        for cache in caches:
            made = ClipCache.shared(cache).meta.get('padding')
            for padding in paddings:
                if made is not None and made != padding:
                    raise ValueError(
                        f'the person-clip cache {cache} was made for padding={made}, '
                        f'GetBBoxCenterScale has {padding}: make it again with tools/cache_clips.py'
                    )

    def _publish_ann_file(self) -> None:
        """Withdraw the annotation file from MMPose's CocoMetric where it cannot read it.

        MMPose announces ``ann_file`` to CocoMetric in test mode. A folder, or a file whose
        annotations lack what COCO's evaluation reads, would fail there; without the announcement
        the metric takes ``raw_ann_info`` of the samples, which is complete.
        """
        if self.test_mode and self._fully_initialized and not self._labels_serve_coco_metric:
            key = f'{self.metainfo["dataset_name"]}_ann_file'
            MessageHub.get_current_instance().update_info_dict({key: None})


def _video_fields(image: dict) -> dict:
    return {field: image[field] for field in _VIDEO_FIELDS if image.get(field) is not None}
