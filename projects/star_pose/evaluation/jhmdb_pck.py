"""PCK as the papers on Sub-JHMDB report it."""

from collections.abc import Sequence

import numpy as np
from mmengine.logging import MMLogger
from mmpose.registry import METRICS

from ..posetrack.score_ap import mean_labelled
from .clip_metric import ClipMetric, finite_keypoints, label_boxes

__all__ = ['JhmdbPCK']

# The columns of the field's tables; a column is the mean of its joints.
_COLUMNS = {
    'Head': ('head',),
    'Sho': ('left_shoulder', 'right_shoulder'),
    'Elb': ('left_elbow', 'right_elbow'),
    'Wri': ('left_wrist', 'right_wrist'),
    'Hip': ('left_hip', 'right_hip'),
    'Knee': ('left_knee', 'right_knee'),
    'Ank': ('left_ankle', 'right_ankle'),
}
_TORSO = ('left_shoulder', 'right_hip')
_PREFIXES = {'bbox': '', 'torso': 't'}


@METRICS.register_module()
class JhmdbPCK(ClipMetric):
    """Percentage of correct keypoints at several thresholds, by box and by torso.

    A joint is correct if it lies *strictly* closer to the ground truth than the threshold times the
    person's size. The field has two conventions for that size, which differ by 10 to 20 points, so
    both are always named:

    - ``PCK@t`` by **box**: the longer side of the tight person box.
    - ``tPCK@t`` by **torso**: the distance from the left shoulder to the right hip.

    and two for the average, which differ where joints are missing:

    - over **joints** (MMPose's, and the plain key): a percentage for each of the K joints, then
      their mean.
    - over **points** (key ending in ``_points``): all labelled joints of all persons in one pool.

    and, of each threshold, the columns Head, Sho, Elb, Wri, Hip, Knee, Ank (as ``Head PCK@0.2``)
    as far as the data set has these joints.

    At 0.2 by box the benchmark is saturated, hence 0.1 and 0.05 beside it. Sub-JHMDB is reported
    as the mean over its three splits: run the metric once a split.

    "Towards understanding action recognition", ICCV 2013.

    Args:
        thresholds: Fractions of the person's size.
        norm_items: Any of ``'bbox'`` and ``'torso'``.
        **kwargs: Of :class:`ClipMetric`.

    Raises:
        ValueError: If a threshold is not positive or a norm item is unknown.
    """

    default_prefix = 'jhmdb'

    def __init__(
        self,
        thresholds: Sequence[float] = (0.2, 0.1, 0.05),
        norm_items: Sequence[str] = ('bbox', 'torso'),
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not thresholds or min(thresholds) <= 0:
            raise ValueError(f'thresholds={thresholds}: give one or more positive fractions')
        unknown = sorted(set(norm_items) - set(_PREFIXES))
        if unknown or not norm_items:
            raise ValueError(f'norm_items={norm_items}: choose from {sorted(_PREFIXES)}')
        self.thresholds = tuple(thresholds)
        self.norm_items = tuple(norm_items)

    def measure(self, sample: dict) -> dict:
        """Errors and sizes of one person.

        Args:
            sample: Output of the model: ``pred_instances.keypoints`` (1, K, 2) and
                ``gt_instances`` with ``keypoints`` (1, K, 2) and ``keypoints_visible`` (1, K); the
                tight box is the label's own, see ``label_boxes``.

        Returns:
            ``error`` (K,) in pixels, NaN for unlabelled joints, and the sizes ``bbox`` and
            ``torso``.

        Raises:
            ValueError: If the data set names no torso and it is asked for, or a predicted
                coordinate is not finite.
        """
        gt = sample['gt_instances']
        truth = np.asarray(gt['keypoints'], np.float64)[0]  # (K, 2)
        labelled = np.asarray(gt['keypoints_visible']).reshape(len(truth), -1)[:, 0] > 0
        predicted = finite_keypoints(sample)[0]
        error = np.linalg.norm(predicted - truth, axis=-1)
        return {
            'error': np.where(labelled, error, np.nan),
            'bbox': np.ptp(label_boxes(sample)[0].reshape(2, 2), axis=0).max(),
            'torso': self._torso(truth, labelled) if 'torso' in self.norm_items else np.nan,
        }

    def _torso(self, keypoints: np.ndarray, labelled: np.ndarray) -> float:
        """Torso length in pixels; NaN where one of its two ends is not labelled."""
        ends = [self._joint_ids().get(name) for name in _TORSO]
        if None in ends:
            raise ValueError(
                f'tPCK measures from {_TORSO[0]} to {_TORSO[1]}, and the data set names no such '
                "joints; set norm_items=('bbox',)"
            )
        if not labelled[ends].all():
            return float('nan')
        return float(np.linalg.norm(keypoints[ends[0]] - keypoints[ends[1]]))

    def _joint_ids(self) -> dict[str, int]:
        return (self.dataset_meta or {}).get('keypoint_name2id', {})

    def summarise(self, measures: list[dict]) -> dict[str, float]:
        """Turn errors and sizes into percentages.

        Args:
            measures: Of all persons, as of :meth:`measure`.

        Returns:
            Percentages in [0, 100], named as in the class's description. Persons without a size (a
            zero box, an unlabelled torso) are left out, and their number is logged; NaN where
            nothing is left.
        """
        logger = MMLogger.get_current_instance()
        errors = np.stack([measure['error'] for measure in measures])  # (N, K)
        metrics = {}
        for item in self.norm_items:
            sizes = np.array([measure[item] for measure in measures])  # (N,)
            usable = sizes > 0
            if not usable.all():
                logger.warning(
                    f'JhmdbPCK by {item}: {int((~usable).sum())} of {len(usable)} persons have no '
                    f'{item} size and are left out'
                )
            relative = errors[usable] / sizes[usable, None]
            for threshold in self.thresholds:
                metrics.update(self._at_threshold(relative, threshold, _PREFIXES[item]))
        return metrics

    def _at_threshold(self, relative: np.ndarray, threshold: float, prefix: str) -> dict:
        """The keys of one threshold; ``relative`` (N, K) holds NaN for unlabelled joints."""
        name = f'{prefix}PCK@{threshold:g}'
        hits = (relative < threshold).sum(0)  # strict; NaN is no hit
        counts = np.isfinite(relative).sum(0)
        joints = np.divide(100.0 * hits, counts, out=np.full(len(hits), np.nan), where=counts > 0)
        metrics = {
            name: mean_labelled(joints),
            f'{name}_points': 100.0 * hits.sum() / counts.sum() if counts.any() else float('nan'),
        }
        ids = self._joint_ids()
        for column, names in _COLUMNS.items():
            members = [ids[joint] for joint in names if joint in ids]
            if members:
                metrics[f'{column} {name}'] = mean_labelled(joints[members])
        return metrics
