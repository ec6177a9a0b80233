"""A metric that says what its numbers were made with."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmengine
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from .posetrack_samples import collect_provenance, sample_provenance

__all__ = ['ClipMetric']


class ClipMetric(BaseMetric):
    """Base of the metrics that measure sample by sample.

    Box source, T, LR size and degradation are logged with the numbers, and stored beside them in
    ``out_file``: without them, two numbers cannot be compared. A subclass says how one sample is
    measured and how the measures are summed up.

    Args:
        box_source: What to print as the source of boxes; by default what the samples tell:
            'ground truth' where they carry their label (``raw_ann_info``), else 'detected'.
        out_file: Json file for metrics and provenance; none is written where None.
        collect_device: ``'cpu'`` or ``'gpu'``.
        prefix: Of the keys; the class's own by default.
    """

    def __init__(
        self,
        box_source: str | None = None,
        out_file: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.box_source = box_source
        self.out_file = out_file

    @abstractmethod
    def measure(self, sample: dict) -> Any:
        """Reduce one data sample (as a dict) to what :meth:`summarise` needs."""

    @abstractmethod
    def summarise(self, measures: list) -> dict[str, float]:
        """Turn the measures of all samples into metrics."""

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Measure a batch.

        Args:
            data_batch: Its ``inputs`` are read for their size.
            data_samples: The model's outputs.
        """
        inputs = (data_batch or {}).get('inputs')
        for index, sample in enumerate(data_samples):
            provenance = sample_provenance(sample, None if inputs is None else inputs[index])
            provenance['box_source'] = self.box_source or (
                'ground truth' if 'raw_ann_info' in sample else 'detected'
            )
            self.results.append(
                {
                    'id': sample.get('id'),
                    'img_path': str(sample.get('img_path', '')),
                    'provenance': provenance,
                    'measure': self.measure(sample),
                }
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Sum up, log and write.

        Args:
            results: Of all batches and ranks.

        Returns:
            What :meth:`summarise` gives.
        """
        metrics = self.summarise([result['measure'] for result in results])
        provenance = collect_provenance(results)
        facts = '; '.join(f'{name}: {value}' for name, value in sorted(provenance.items()))
        MMLogger.get_current_instance().info(f'{type(self).__name__}: {facts}')
        if self.out_file is not None:
            Path(self.out_file).parent.mkdir(parents=True, exist_ok=True)
            mmengine.dump({'metrics': metrics, 'provenance': provenance}, self.out_file)
        return metrics
