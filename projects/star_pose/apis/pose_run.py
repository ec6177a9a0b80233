"""One video on its way: boxes, crops, network, tracks, evidence, smoothing."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from mmpose.registry import TASK_UTILS

from ..tracking import person_looks
from .box_follower import BoxFollower
from .box_prior import damp_outside
from .frame_sources import FrameSource, SourceFrame
from .one_euro import PoseSmoother
from .pose_by_size import PoseBySize
from .pose_model import Crops, PoseModel
from .read_ahead import ReadAhead
from .track_evidence import FrameEvidence, TrackEvidence
from .video_pose_frame import VideoPoseFrame

__all__ = ['PoseRun', 'RunOptions']

_LARGEST_BATCH = 16  # frames that wait for each other
_KEEP_SECONDS = 10  # that the smoothing remembers a track


@dataclass
class _Pending:
    """A frame on its way."""

    frame: SourceFrame
    clip: list[np.ndarray]
    boxes: np.ndarray
    box_scores: np.ndarray
    keypoints: np.ndarray  # (P, K, 2)
    scores: np.ndarray  # (P, K)
    crops: Crops | None = None
    outputs: tuple[np.ndarray, ...] = ()
    track_ids: np.ndarray | None = None

    def keep(self, rows: np.ndarray) -> None:
        """Leave out all people but those of these rows."""
        if len(rows) == len(self.boxes):
            return
        self.boxes, self.box_scores = self.boxes[rows], self.box_scores[rows]
        self.keypoints, self.scores = self.keypoints[rows], self.scores[rows]
        self.crops = self.crops.take(rows)
        self.outputs = tuple(output[rows] for output in self.outputs)


@dataclass
class RunOptions:
    """What :class:`~star_pose.apis.video_pose.VideoPose` was asked for; see there.

    ``tracker`` is the config of a tracker, None for none; ``smoothing`` is decided.
    """

    evidence: int
    smoothing: bool
    tracker: dict | None
    live: bool
    batch_size: int
    patience: int
    horizon: int


class PoseRun:
    """Takes the frames of a source through a model.

    Args:
        model: The pose model.
        source: The frames.
        boxes: A box source.
        options: What is done with them.

    Attributes:
        seconds: Time by stage so far.
        dropped: Frames that the live mode left out so far.
        outside: Boxes outside their frame that were left out so far.
    """

    def __init__(
        self,
        model: PoseModel | PoseBySize,
        source: FrameSource,
        boxes: Callable,
        options: RunOptions,
    ):
        self.model, self.source, self.boxes, self.options = model, source, boxes, options
        self.num_joints = len(model.dataset_meta['keypoint_id2name'])
        self.seconds: Counter = Counter()
        self.dropped = 0
        self.outside = 0
        self.evidence = options.evidence if model.gives_heatmaps and options.tracker else 0
        self.after = 0 if options.live else self.evidence
        self.memory = TrackEvidence(model.fusion, self.evidence, self.after)
        self.follower = BoxFollower(
            options.patience, options.horizon, start_thr=getattr(boxes, 'start_thr', 0.0)
        )
        tracker = options.tracker and {'_scope_': 'mmpose', **options.tracker}
        self.tracker = TASK_UTILS.build(tracker) if tracker else None
        self.smoother = PoseSmoother() if options.smoothing and options.tracker else None

    def frames(self, start: int, stop: int | None) -> Iterator[VideoPoseFrame]:
        """All results, in order."""
        waiting: deque[_Pending] = deque()  # until the frames whose evidence counts are there too
        for newest in self._estimated(start, stop):
            waiting.append(newest)
            while waiting and newest.frame.index - waiting[0].frame.index >= self.after:
                yield self._finish(waiting.popleft())
        while waiting:
            yield self._finish(waiting.popleft())

    def _estimated(self, start: int, stop: int | None) -> Iterator[_Pending]:
        """Frames with poses and ids; the people of several frames share a batch where they can."""
        batch: list[_Pending] = []
        for frame, clip in self._clips(start, stop):
            found = self._timed('boxes', self._find, frame)
            follows = found is None or (self.options.patience > 0)
            if follows:  # where people are now depends on the poses so far
                yield from self._estimate(batch)
                batch = []
            h, w = frame.image.shape[:2]
            boxes, scores = self.follower.locate(frame.index, (w, h), found)
            nobody = np.zeros((0, self.num_joints, 2)), np.zeros((0, self.num_joints))
            batch.append(_Pending(frame, clip, boxes, scores, *nobody))
            people = sum(len(pending.boxes) for pending in batch)
            full = people >= self.options.batch_size or len(batch) >= _LARGEST_BATCH
            if follows or self.options.live or full:
                yield from self._estimate(batch)
                batch = []
        yield from self._estimate(batch)

    def _find(self, frame: SourceFrame) -> tuple[np.ndarray, np.ndarray] | None:
        """Boxes that the source gives for a frame, those outside it left out; None: not looked."""
        if not getattr(self.boxes, 'looks_at', lambda index: True)(frame.index):
            return None
        boxes, scores = self.boxes(frame.index, frame.image)
        h, w = frame.image.shape[:2]
        shown = np.minimum(boxes[:, 2:], (w, h)) - np.maximum(boxes[:, :2], 0)
        kept = (shown >= 1).all(1)
        self.outside += int((~kept).sum())
        return boxes[kept], scores[kept]

    def _clips(
        self, start: int, stop: int | None
    ) -> Iterator[tuple[SourceFrame, list[np.ndarray]]]:
        """Each frame with the images that a clip model sees with it."""
        model = self.model
        before = model.target_index
        after = model.num_frames - 1 - model.target_index
        live = self.options.live
        frames_from = self.source.frames(max(0, start - before))
        reader = ReadAhead(frames_from, depth=1 if live else 8, drop=live)
        window: deque[SourceFrame] = deque()  # from `before` frames back to `after` ahead
        position = 0  # of the target in it
        frames, ended = iter(reader), False
        try:
            while True:
                while not ended and len(window) - position <= (0 if live else after):
                    frame = self._timed('read', next, frames, None)
                    self.dropped = reader.dropped
                    ended = frame is None
                    if not ended:
                        window.append(frame)
                if position >= len(window):
                    return
                target = window[position]
                if stop is not None and target.index >= stop:
                    return
                if target.index >= start:
                    last = len(window) - 1
                    places = (position + t - model.target_index
                              for t in range(model.num_frames))  # fmt: skip
                    yield target, [window[min(max(p, 0), last)].image for p in places]
                position += 1
                while position > before:
                    window.popleft()
                    position -= 1
        finally:
            reader.close()

    def _estimate(self, batch: list[_Pending]) -> Iterator[_Pending]:
        """Poses and ids of a batch of frames."""
        cut = self.model.cut
        for pending in batch:
            if len(pending.boxes):
                pending.crops = self._timed('cut', cut, pending.clip, pending.boxes)
        busy = [pending for pending in batch if pending.crops is not None]
        outputs = self._run_network(busy)
        for pending in busy:
            pending.outputs = tuple(output[: len(pending.crops)] for output in outputs)
            outputs = tuple(output[len(pending.crops) :] for output in outputs)
            place = pending.crops.centres, pending.crops.scales
            locate = self.model.decode
            if self.model.gives_heatmaps:
                maps = self._timed('decode', damp_outside, *pending.outputs, pending.boxes, *place)
                pending.outputs = (maps,)
                locate = lambda found, *place: self.model.peaks(found[0], *place)  # noqa: E731
            pending.keypoints, pending.scores = self._timed(
                'decode', locate, pending.outputs, *place
            )
        # Only the last frame's people are followed: those before it had boxes of their own after
        if batch:
            batch[-1].keep(self.follower.learn(batch[-1].keypoints, batch[-1].scores))
        for pending in batch:
            self._timed('track', self._track, pending)
            yield pending

    def _run_network(self, busy: list[_Pending]) -> tuple[np.ndarray, ...]:
        """The network's outputs for everybody of these frames, in order."""
        if not busy:
            return ()
        pixels = np.concatenate([pending.crops.pixels for pending in busy])
        size = self.options.batch_size
        parts = [
            self._timed('network', self.model.run, pixels[begin : begin + size])
            for begin in range(0, len(pixels), size)
        ]
        return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))

    def _track(self, pending: _Pending) -> None:
        """Number the people, and keep what their frame says about them."""
        pending.track_ids = np.full(len(pending.boxes), -1)
        if self.tracker is None:
            return
        index = pending.frame.index
        looks = person_looks(pending.frame.image, pending.boxes)
        pending.track_ids = self.tracker.update(
            index, pending.keypoints, pending.scores, pending.boxes, pending.box_scores, looks
        )
        if not self.evidence:
            return
        crops = pending.crops
        for person, track in enumerate(pending.track_ids):
            if track >= 0:
                pixels = crops.pixels[person]
                evidence = FrameEvidence.of(
                    pending.outputs[0][person],
                    pixels[self.model.target_index] if pixels.ndim == 4 else pixels,
                    crops.centres[person],
                    crops.scales[person],
                )
                self.memory.add(int(track), index, evidence)
        self.memory.forget(index - 2 * (self.evidence + 1))

    def _finish(self, pending: _Pending) -> VideoPoseFrame:
        """Fuse, decode and smooth."""
        frame, keypoints, scores = pending.frame, pending.keypoints, pending.scores
        if len(keypoints) and self.model.gives_heatmaps:
            heatmaps = self._timed('evidence', self._fused, pending)
            place = pending.crops.centres, pending.crops.scales
            keypoints, scores = self._timed('decode', self.model.decode, (heatmaps,), *place)
        if self.smoother is not None:
            keypoints = self._timed('smooth', self._smooth, pending, keypoints)
        return VideoPoseFrame(
            frame.index,
            frame.time,
            frame.name,
            frame.image,
            keypoints,
            scores,
            pending.boxes,
            pending.box_scores,
            pending.track_ids,
            time.monotonic() - frame.arrived,
            frame.duration,
            frame.certain,
        )

    def _fused(self, pending: _Pending) -> np.ndarray:
        """The heatmaps of everybody in a frame, (P, K, h, w), with the frames around it."""
        heatmaps = pending.outputs[0]
        tracked = np.flatnonzero(pending.track_ids >= 0)
        if not self.evidence or not len(tracked):
            return heatmaps
        fused = heatmaps.copy()
        tracks = [int(track) for track in pending.track_ids[tracked]]
        fused[tracked] = self.memory.fuse(tracks, pending.frame.index)
        return fused

    def _smooth(self, pending: _Pending, keypoints: np.ndarray) -> np.ndarray:
        now = pending.frame.time
        keypoints = keypoints.copy()
        for person, track in enumerate(pending.track_ids):
            if track >= 0:
                size = float((pending.boxes[person, 2:] - pending.boxes[person, :2]).max())
                keypoints[person] = self.smoother(int(track), now, keypoints[person], size)
        self.smoother.forget(now - _KEEP_SECONDS)
        return keypoints

    def _timed(self, stage: str, run: Callable, *args):
        begin = time.perf_counter()
        try:
            return run(*args)
        finally:
            self.seconds[stage] += time.perf_counter() - begin
