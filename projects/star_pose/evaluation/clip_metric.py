"""What the metrics share: a sample counts once, and its origin stands beside the numbers."""

import json
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmengine
import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from ..posetrack.evaluate import merge_results

__all__ = ['ClipMetric', 'SampleMetric', 'finite_keypoints', 'label_boxes', 'to_numpy']


class SampleMetric(BaseMetric):
    """Base of the metrics that keep something of every sample, and where it came from.

    Args:
        out_file: Json file for metrics and provenance; none is written where None.
        collect_device: ``'cpu'`` or ``'gpu'``.
        prefix: Of the keys; the class's own by default.
    """

    def __init__(
        self, out_file: str | None = None, collect_device: str = 'cpu', prefix: str | None = None
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.out_file = out_file

    @abstractmethod
    def measure(self, sample: dict) -> Any:
        """Reduce one data sample (as a dict) to what the metrics need."""

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Measure a batch.

        Args:
            data_batch: Its ``inputs`` are read for their size.
            data_samples: The model's outputs.
        """
        inputs = (data_batch or {}).get('inputs')
        for index, sample in enumerate(data_samples):
            self.results.append(
                {
                    'key': sample_key(sample),
                    'provenance': provenance(sample, None if inputs is None else inputs[index]),
                    'measure': self.measure(sample),
                }
            )


class ClipMetric(SampleMetric):
    """Base of the metrics that sum up what they measured sample by sample.

    Box source, T, LR size and degradation are logged with the numbers, and stored beside them in
    ``out_file``: without them, two numbers cannot be compared. A sample that a distributed sampler
    repeated counts once: the same place of the data set, image, annotation and box.

    Args:
        **kwargs: Of :class:`SampleMetric`.
    """

    @abstractmethod
    def summarise(self, measures: list) -> dict[str, float]:
        """Turn the measures of all samples into metrics."""

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Sum up, log and write.

        Args:
            results: Of all batches and ranks.

        Returns:
            What :meth:`summarise` gives.
        """
        measures, facts = merge_results(results)
        metrics = self.summarise(measures)
        text = '; '.join(f'{name}: {value}' for name, value in sorted(facts.items()))
        MMLogger.get_current_instance().info(f'{type(self).__name__}: {text}')
        if self.out_file is not None:
            Path(self.out_file).parent.mkdir(parents=True, exist_ok=True)
            mmengine.dump({'metrics': metrics, 'provenance': facts}, self.out_file)
        return metrics


def sample_key(sample: dict) -> tuple | None:
    """Return what a repeated sample has in common with the first; None where nothing tells."""
    if sample.get('sample_idx') is None and sample.get('id') is None:
        return None
    boxes = to_numpy(sample.get('gt_instances', {}).get('bboxes', ()))
    path = str(sample.get('img_path', ''))
    return sample.get('sample_idx'), path, sample.get('id'), boxes.tobytes()


def to_numpy(value) -> np.ndarray:
    """Return a tensor or an array as an array on the CPU."""
    return np.asarray(value.detach().cpu() if hasattr(value, 'detach') else value)


def finite_keypoints(sample: dict) -> np.ndarray:
    """Return the predicted joints of a data sample, (n, K, 2).

    Raises:
        ValueError: If one of them is not finite: it would count as not asked for.
    """
    keypoints = to_numpy(sample['pred_instances']['keypoints']).astype(np.float64)
    if not np.isfinite(keypoints).all():
        raise ValueError(
            f'{sample.get("img_path")}: a predicted coordinate is NaN or infinite; did the '
            'training diverge?'
        )
    return keypoints


def provenance(sample: dict, inputs) -> dict[str, str]:
    """Say what one prediction was made from, as far as the sample tells.

    Args:
        sample: Data sample as a dict; one that carries its label has a ground-truth box.
        inputs: The sample's input image or clip (..., h, w), for its size.
    """
    facts = {'box_source': 'ground truth' if 'raw_ann_info' in sample else 'detected'}
    if 'frame_paths' in sample:
        facts['num_frames'] = str(len(sample['frame_paths']))
    if inputs is not None and hasattr(inputs, 'shape'):
        facts['lr_size'] = f'({inputs.shape[-1]}, {inputs.shape[-2]})'
    if sample.get('degradation') is not None:
        facts['degradation'] = json.dumps(sample['degradation'], sort_keys=True, default=str)
    return facts


def label_boxes(sample: dict) -> np.ndarray:
    """Return the labels' own boxes x1 y1 x2 y2 of a data sample, (n, 4).

    ``gt_instances.bboxes`` may have been enlarged for the crop; the label says how large the person
    is, clipped to the image as MMPose clips it. Without a label it is the sample's box.
    """
    labels = sample.get('raw_ann_info')
    labels = [labels] if isinstance(labels, dict) else labels
    if labels and all(label.get('bbox') is not None for label in labels):
        boxes = np.array([label['bbox'] for label in labels], np.float64)
        corners = np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)  # (n, 2, 2)
        if 'ori_shape' in sample:
            height, width = sample['ori_shape'][:2]
            corners = corners.clip(0, [width - 1, height - 1])
        return corners.reshape(-1, 4)
    return np.asarray(sample.get('gt_instances', {}).get('bboxes', np.zeros((0, 4))), np.float64)
