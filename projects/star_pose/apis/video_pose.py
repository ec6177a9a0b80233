"""Poses of everybody in a video, frame by frame: the library behind ``tools/infer_video.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mmengine.config import Config
from mmengine.registry import DefaultScope

from .box_sources import EveryNth, FixedBoxes, WholeFrameBoxes
from .frame_sources import open_source
from .person_detector import PersonDetector
from .pose_by_size import PoseBySize
from .pose_model import PoseModel
from .pose_run import PoseRun, RunOptions
from .shipped_models import BY_SIZE, SMALL_BELOW, find_model
from .video_pose_frame import VideoPoseFrame

__all__ = ['VideoPose', 'VideoPoseFrame']


# Whoever has a box is tracked: the threshold of the boxes has decided already
_TRACKER = {'type': 'PoseTracker', 'start_thr': 0.0, 'keep_thr': 0.0, 'kpt_thr': 0.0}
_HORIZON = 30  # frames that people are followed without boxes, and lost ones remembered


class VideoPose:
    """Finds, follows and poses the people of videos.

    Each frame is decoded once, in a thread of its own; each person is cut out of it once and goes
    through the network once; the heatmaps of a track's neighbouring frames are evidence for a
    frame; a one-euro filter takes out what is left of the jitter.

    Args:
        model: Name of a shipped model, or a config file or object of any top-down model. ``'auto'``
            poses people below 80 pixels by ``'star_pose_movenet-thunder'``, whose weights are for
            research only, and others by ``'movenet-thunder'``.
        checkpoint: Weights, for a config; shipped models have theirs.
        device: Such as ``'cpu'`` or ``'cuda:0'``.
        backend: See :func:`~star_pose.apis.runtimes.make_runtime`.
        detector: Called with (index, image) to give boxes (N, 4) and scores (N,); None is the
            built-in one.
        detect_every: Frames from one detection to the next; boxes follow the poses in between.
        evidence: Frames before and after a frame whose heatmaps count too; 0 for none.
        smoothing: Whether to smooth each track's joints over time; a single image never is.
        tracker: Parameters of :class:`~star_pose.tracking.PoseTracker`, or the config of another
            registered tracker; None gives no ids, and so neither evidence nor smoothing.
        live: The newest frame is the target: no frame waits for later ones, and what comes in
            while the networks are busy is dropped.
        flip_test: Whether to add the mirrored crops, at twice the time.
        batch_size: Largest number of people in a batch.
        network: File that ``tools/export.py`` wrote of the model, such as one in 8-bit integers.

    Attributes:
        dataset_meta: Metainfo of the joints: names, skeleton, sigmas.
        run: The latest run: ``seconds`` by stage, ``dropped`` frames of the live mode, and
            ``source``, whose ``bad`` lists the frames that could not be read.

    Raises:
        DataNotFoundError: If a file is missing.
        LabelError: If the model cannot be used for videos.
        ValueError: If a number is out of its range.

    Example:
        >>> import star_pose
        >>> star_pose.VideoPose.__name__
        'VideoPose'
    """

    def __init__(
        self,
        model: str | Config = 'auto',
        checkpoint: str | None = None,
        device: str = 'cpu',
        backend: str = 'auto',
        detector: Callable | None = None,
        detect_every: int = 5,
        evidence: int = 2,
        smoothing: bool = True,
        tracker: dict | None = {},  # noqa: B006  (only read)
        live: bool = False,
        flip_test: bool = False,
        batch_size: int = 32,
        network: str | None = None,
    ):
        for name, value, least in (
            ('detect_every', detect_every, 1),
            ('evidence', evidence, 0),
            ('batch_size', batch_size, 1),
        ):
            if value < least:
                raise ValueError(f'{name}={value}: give at least {least}')
        how = device, backend, flip_test
        # What MMPose sets while it builds is gone after: the program may be one of another scope
        with DefaultScope.overwrite_default_scope('mmpose'):
            if model == 'auto':
                if checkpoint is not None or network is not None:
                    raise ValueError(
                        f'checkpoint={checkpoint} and network={network} are of one model: name it, '
                        "model='auto' means two"
                    )
                pair = (PoseModel(*find_model(name), *how) for name in BY_SIZE)
                self.model = PoseBySize(*pair, SMALL_BELOW)
            else:
                if checkpoint is None and isinstance(model, str):
                    model, checkpoint = find_model(model)
                self.model = PoseModel(model, checkpoint, *how, network)
        self.dataset_meta = self.model.dataset_meta
        self.detector = detector
        self.detect_every = detect_every
        self.evidence = evidence
        self.smoothing = smoothing
        self.tracker = tracker
        self.live = live
        self.batch_size = batch_size
        self.run: PoseRun | None = None

    def __call__(
        self,
        source: object,
        boxes: Callable | Sequence[Sequence[float]] | str | None = None,
        start: int = 0,
        stop: int | None = None,
    ) -> Iterator[VideoPoseFrame]:
        """Go through a video.

        Args:
            source: See :func:`~star_pose.apis.frame_sources.open_source`.
            boxes: Where people are: a box source (see :mod:`star_pose.apis.box_sources`), boxes
                (N, 4) that hold in all frames, ``'frame'`` for one person who fills the frame;
                None asks the detector.
            start: Number of the first frame.
            stop: Number of the frame after the last; None for all.

        Yields:
            The frames in order.
        """
        opened = open_source(source)
        boxes = self._box_source(boxes)
        horizon = max(_HORIZON, 2 * self.detect_every)
        options = RunOptions(
            evidence=self.evidence,
            smoothing=self.smoothing and not opened.is_still,
            tracker=None
            if self.tracker is None
            else {**_TRACKER, 'max_lost': horizon, **self.tracker},
            live=self.live,
            batch_size=self.batch_size,
            patience=getattr(boxes, 'patience', 0),
            horizon=horizon,
        )
        self.run = PoseRun(self.model, opened, boxes, options)
        return self.run.frames(start, stop)

    def _box_source(self, boxes: Callable | Sequence | str | None) -> Callable:
        if boxes is None:
            if self.detector is None:
                self.detector = PersonDetector()
            return EveryNth(self.detector, self.detect_every)
        if isinstance(boxes, str):
            if boxes != 'frame':
                raise ValueError(f"boxes={boxes!r}: the only word known is 'frame'")
            return WholeFrameBoxes()
        return boxes if callable(boxes) else FixedBoxes(boxes)
