"""How much the poses of a video shake."""

from collections import defaultdict

import numpy as np
from mmengine.logging import MMLogger
from mmpose.registry import METRICS

from ..posetrack.tables import frame_place, track_number
from .clip_metric import ClipMetric, finite_keypoints

__all__ = ['JitterMetric']


@METRICS.register_module()
class JitterMetric(ClipMetric):
    """Acceleration of the predicted joints, and its error against the ground truth's.

    The acceleration of a joint at frame t is its second difference p[t-1] - 2 p[t] + p[t+1], in
    pixels of the source image per frame^2. Keys:

    - ``accel_error``: mean length of the difference between predicted and true acceleration, over
      the joints that are labelled in all three frames. The measure to compare methods by: it asks
      for neither shaking nor smoothing away.
    - ``accel``: mean length of the predicted acceleration, over all joints; needs no label.
    - ``accel_gt``: the same of the ground truth, over the joints of ``accel_error``.

    Only three *consecutive* frames of one track count: of the same video and ``track_id``, and
    numbered f-1, f and f+1 in the images' names (``frame_place``). The sparse labels around the
    dense part of a PoseTrack sequence are therefore left out, and the number of triples is logged.

    "Learning 3D human dynamics from video", CVPR 2019, uses this error on 3-D joints.

    Args:
        **kwargs: Of :class:`ClipMetric`.
    """

    default_prefix = 'jitter'

    def measure(self, sample: dict) -> tuple:
        """Pose and label of one person in one frame.

        Args:
            sample: Output of the model, with ``img_path``, ``track_id`` and ``pred_instances``;
                ``gt_instances.keypoints`` and ``keypoints_visible`` where there is ground truth.

        Returns:
            (video, track, frame), predicted joints (K, 2), true joints (K, 2); NaN for those that
            are not labelled.

        Raises:
            ValueError: If the sample does not say which track and frame it belongs to, or a
                predicted coordinate is not finite.
        """
        video, frame = frame_place(str(sample.get('img_path', '')))
        if frame is None or sample.get('track_id') is None:
            missing = 'track_id' if frame is not None else "frame number in its image's name"
            raise ValueError(
                f'{sample.get("img_path")}: the sample has no {missing}; JitterMetric '
                'follows tracks, so it needs a data set of labelled tracks and PackClipInputs'
            )
        gt = sample.get('gt_instances', {})
        predicted = finite_keypoints(sample)[0]  # (K, 2)
        truth = np.full_like(predicted, np.nan)
        if 'keypoints' in gt:
            labelled = np.asarray(gt['keypoints_visible']).reshape(len(truth), -1)[:, 0] > 0
            truth[labelled] = np.asarray(gt['keypoints'])[0][labelled]
        return (video, track_number(sample['track_id']), frame), predicted, truth

    def summarise(self, measures: list[tuple]) -> dict[str, float]:
        """Average the accelerations of all tracks.

        Args:
            measures: Of all persons and frames, as of :meth:`measure`.

        Returns:
            ``accel_error``, ``accel`` and ``accel_gt`` in px/frame^2; NaN where no triple of frames
            has the joints.

        Raises:
            ValueError: If a track occurs twice in a frame.
        """
        tracks = defaultdict(dict)
        for (video, track, frame), predicted, truth in measures:
            if frame in tracks[video, track]:
                raise ValueError(
                    f'video {video}, frame {frame}: track {track} occurs twice; give every person '
                    'of a frame a track id of its own'
                )
            tracks[video, track][frame] = np.stack([predicted, truth])  # (2, K, 2)

        triples = [
            poses[frame - 1] - 2 * poses[frame] + poses[frame + 1]
            for poses in tracks.values()
            for frame in poses
            if frame - 1 in poses and frame + 1 in poses
        ]
        MMLogger.get_current_instance().info(
            f'JitterMetric: {len(triples)} triples of consecutive frames in {len(tracks)} tracks'
        )
        if not triples:
            return dict.fromkeys(('accel_error', 'accel', 'accel_gt'), float('nan'))
        predicted, truth = np.stack(triples, axis=1)  # M x (2, K, 2) -> 2 x (M, K, 2)
        both = np.isfinite(truth).all(-1)
        return {
            'accel_error': _mean_length((predicted - truth)[both]),
            'accel': _mean_length(predicted.reshape(-1, 2)),
            'accel_gt': _mean_length(truth[both]),
        }


def _mean_length(vectors: np.ndarray) -> float:
    """Mean Euclidean length of (M, 2) vectors; NaN for M = 0."""
    if not len(vectors):
        return float('nan')
    return float(np.linalg.norm(vectors, axis=-1).mean())
