"""A COCO-style data set that may skip samples it cannot read."""

from mmpose.datasets.datasets import BaseCocoStyleDataset

from .errors import DataError
from .skip_policy import SkipPolicy

__all__ = ['SkippingDataset']


class SkippingDataset(BaseCocoStyleDataset):
    """Ends a run on a sample that cannot be read, or counts it and lets MMEngine draw another one.

    What is caught are errors of data (``DataError``) and of reading (``OSError``); any other error
    is a fault of the code and passes.

    Args:
        ann_file: As in MMPose.
        on_error: ``'raise'`` or ``'skip'``. Reading errors always raise in test mode, where leaving
            a sample out would change the result.
        max_skips: With ``'skip'``, the share of samples that may be skipped before the run ends
            all the same; distinct samples count, over all epochs and workers of one process.
        **kwargs: Further arguments of MMPose's ``BaseCocoStyleDataset``.
    """

    def __init__(
        self, ann_file: str = '', *, on_error: str = 'raise', max_skips: float = 0.01, **kwargs
    ) -> None:
        self.skips = SkipPolicy(type(self).__name__, on_error, max_skips)
        super().__init__(ann_file=ann_file, **kwargs)

    def full_init(self) -> None:
        """Load everything, then start the count of skipped samples."""
        if not self._fully_initialized:
            super().full_init()
            self.skips.start(len(self))

    def prepare_data(self, idx: int):
        """Run the pipeline on a sample; on a reading error do what ``on_error`` says.

        Args:
            idx: Index of the sample.

        Returns:
            The pipeline's output, or None for a skipped sample: MMEngine then draws another one.
        """
        try:
            return super().prepare_data(idx)
        except (OSError, DataError) as error:
            if self.skips.on_error == 'raise' or self.test_mode:
                raise
            self.skips.reject_sample(idx, error)
            return None

    def get_subset_(self, indices) -> None:
        """Keep only some samples; the count of skipped ones starts again.

        Args:
            indices: As in MMEngine.
        """
        super().get_subset_(indices)
        self.skips.start(len(self))

    def get_subset(self, indices) -> 'SkippingDataset':
        """A new data set with some of the samples and a count of its own.

        Args:
            indices: As in MMEngine.

        Returns:
            The subset.
        """
        subset = super().get_subset(indices)
        subset.skips.start(len(subset))
        return subset
