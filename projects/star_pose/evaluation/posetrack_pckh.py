"""PCKh on PoseTrack-form labels: how many joints of a given box are found, without detection."""

from collections.abc import Sequence

import numpy as np
from mmengine.logging import MMLogger
from mmpose.registry import METRICS

from ..posetrack.joints import GROUPS, JOINTS, KEYPOINTS
from ..posetrack.read_labels import head_size
from ..posetrack.score_ap import mean_labelled
from ..posetrack.tables import PoseTrackError, Problem, joint_columns
from .clip_metric import ClipMetric, to_numpy

__all__ = ['PoseTrackPCKh']


@METRICS.register_module()
class PoseTrackPCKh(ClipMetric):
    """Percentage of labelled joints within a share of the head size of their label.

    The head size is 60 % of the diagonal of ``bbox_head`` (Andriluka et al., CVPR 2014; the unit of
    PoseTrack AP too). Every sample is compared with its own label, so boxes must be ground truth.

    Keys, for each threshold: ``pckh@0.5``, the percentage over all labelled joints, as in MPII's
    tables, and ``Head pckh@0.5`` and so on, the mean over the joints of each column that are
    labelled at all. Joints without a label do not count, persons without a head box are left out
    and counted in the log.

    Args:
        thresholds: Distances in head sizes that still count as found.
        **kwargs: Of :class:`ClipMetric`.

    Raises:
        ValueError: When a threshold is not positive.
    """

    default_prefix = 'posetrack'

    def __init__(self, thresholds: Sequence[float] = (0.5, 0.2), **kwargs):
        super().__init__(**kwargs)
        if not thresholds or min(thresholds) <= 0:
            raise ValueError(f'thresholds={thresholds}: give one or more positive head sizes')
        self.thresholds = tuple(thresholds)

    def measure(self, sample: dict) -> np.ndarray:
        """Return the distance of each joint from its label in head sizes, NaN without label, (15,).

        Args:
            sample: Output of the model, with ``raw_ann_info``.

        Raises:
            PoseTrackError: When there is not exactly one prediction and one label.
        """
        labels = sample.get('raw_ann_info')
        labels = [labels] if isinstance(labels, dict) else labels or []
        points = to_numpy(sample['pred_instances']['keypoints'])  # (1, K, 2)
        fault = '' if np.isfinite(points).all() else 'a coordinate is NaN or infinite'
        if len(labels) != 1 or len(points) != 1:
            fault = 'PCKh compares one prediction with one label: use top-down, ground-truth boxes'
        if fault:
            place = str(sample.get('img_path', '')), f'(id {sample.get("id")})'
            raise PoseTrackError([Problem('-', fault, *place)])
        names = (self.dataset_meta or {}).get('keypoint_id2name')
        columns = joint_columns([names[i] for i in range(len(names))] if names else KEYPOINTS)
        truth = np.asarray(labels[0]['keypoints'], np.float64).reshape(-1, 3)[columns]
        present = truth[:, 2] > 0  # as in training: a joint that is not visible has no label
        with np.errstate(divide='ignore', invalid='ignore'):
            lengths = np.linalg.norm(points[0, columns] - truth[:, :2], axis=1)  # (15,)
            lengths /= head_size(labels[0].get('bbox_head'))
        return np.where(present, lengths, np.nan)

    def summarise(self, measures: list[np.ndarray]) -> dict[str, float]:
        """Turn distances into percentages, named as the class description says.

        Args:
            measures: Of all persons, as of :meth:`measure`.

        Returns:
            Percentages; NaN where nothing is labelled.
        """
        errors = np.stack(measures)  # (N, 15)
        labelled = ~np.isnan(errors)
        usable = labelled.any(axis=1)
        MMLogger.get_current_instance().info(
            f'PCKh: {usable.sum()} persons; {(~usable).sum()} without a head box or a labelled '
            'joint are left out'
        )
        metrics = {}
        counts = labelled.sum(axis=0)
        for threshold in self.thresholds:
            found = errors <= threshold  # NaN is not
            with np.errstate(invalid='ignore'):
                joints = 100 * found.sum(axis=0) / np.where(counts, counts, np.nan)
            total = 100 * found.sum() / counts.sum() if counts.any() else float('nan')
            metrics[f'pckh@{threshold:g}'] = float(total)
            for group, members in GROUPS.items():
                rows = [JOINTS.index(joint) for joint in members]
                metrics[f'{group} pckh@{threshold:g}'] = mean_labelled(joints[rows])
        return metrics
