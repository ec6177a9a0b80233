"""PCKh on PoseTrack-form labels: how many joints of a given box are found, without detection."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmpose.registry import METRICS

from ..posetrack.ap import mean_labelled
from ..posetrack.joints import GROUPS, JOINTS, KEYPOINTS
from ..posetrack.labels import head_size
from ..posetrack.predictions import NOT_FINITE
from ..posetrack.tables import PoseTrackError, Problem, joint_columns
from .posetrack_samples import record_sample, unique_records

__all__ = ['PoseTrackPCKh']


@METRICS.register_module()
class PoseTrackPCKh(BaseMetric):
    """Percentage of labelled joints within a share of the head size of their label.

    The head size is 60 % of the diagonal of ``bbox_head`` (Andriluka et al., CVPR 2014; the unit of
    PoseTrack AP too). Every sample is compared with its own label, so boxes must be ground truth.

    Keys, for each threshold: ``pckh@0.5``, the percentage over all labelled joints, as in MPII's
    tables, and ``Head pckh@0.5`` and so on, the mean over the joints of each column that are
    labelled at all. Joints without a label do not count, persons without a head box are left out
    and counted in the log.

    Args:
        thresholds: Distances in head sizes that still count as found.
        collect_device: See MMEngine's ``BaseMetric``.
        prefix: See MMEngine's ``BaseMetric``.

    Raises:
        ValueError: When a threshold is not positive.
    """

    default_prefix = 'posetrack'

    def __init__(
        self,
        thresholds: Sequence[float] = (0.5, 0.2),
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not thresholds or min(thresholds) <= 0:
            raise ValueError(f'thresholds={thresholds}: give one or more positive head sizes')
        self.thresholds = tuple(thresholds)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep one record of each sample.

        Args:
            data_batch: Not read.
            data_samples: The model's outputs with ``raw_ann_info``.
        """
        for sample in data_samples:
            record = record_sample(sample, with_truth=True)
            place = record['img_path'], f'(id {record["id"]})'
            if not np.isfinite(record['keypoints']).all():
                raise PoseTrackError([Problem('-', NOT_FINITE, *place)])
            if len(record['labels']) != 1 or len(record['keypoints']) != 1:
                what = 'PCKh compares one prediction with one label: use top-down boxes'
                raise PoseTrackError([Problem('-', what, *place)])
            self.results.append(record)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compare predictions with labels.

        Args:
            results: What ``process`` kept.

        Returns:
            Percentages, named as the class description says; NaN where nothing is labelled.
        """
        errors = np.stack([self.errors(record) for record in unique_records(results)])  # (N, 15)
        usable = ~np.isnan(errors).all(axis=1)
        logger = MMLogger.get_current_instance()
        logger.info(
            f'PCKh: {usable.sum()} persons; {(~usable).sum()} without a head box or a labelled '
            'joint are left out'
        )
        metrics = {}
        labelled = ~np.isnan(errors)
        for threshold in self.thresholds:
            found = errors <= threshold  # NaN is not
            counts = labelled.sum(axis=0)
            with np.errstate(invalid='ignore'):
                joints = 100 * found.sum(axis=0) / np.where(counts, counts, np.nan)
            total = 100 * found.sum() / counts.sum() if counts.any() else float('nan')
            metrics[f'pckh@{threshold:g}'] = float(total)
            for group, members in GROUPS.items():
                rows = [JOINTS.index(joint) for joint in members]
                metrics[f'{group} pckh@{threshold:g}'] = mean_labelled(joints[rows])
        return metrics

    def errors(self, record: dict) -> np.ndarray:
        """Return the distance of each joint from its label in head sizes, NaN without label."""
        names = (self.dataset_meta or {}).get('keypoint_id2name')
        columns = joint_columns([names[i] for i in range(len(names))] if names else KEYPOINTS)
        label = record['labels'][0]
        truth = np.asarray(label['keypoints'], np.float64).reshape(-1, 3)[columns]
        present = (truth != 0).any(axis=1)
        offset = record['keypoints'][0, columns] - truth[:, :2]  # (15, 2)
        with np.errstate(divide='ignore', invalid='ignore'):
            lengths = np.linalg.norm(offset, axis=1) / head_size(label.get('bbox_head'))
        return np.where(present, lengths, np.nan)
