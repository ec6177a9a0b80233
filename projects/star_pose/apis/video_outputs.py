"""Where the poses of a video go: tried before the work, written during it, whole at the end."""

from __future__ import annotations

import contextlib
import os
import os.path as osp
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from ..engine.outputs import OutputError, check_output, whole_file
from ..tracking.pose_similarity import box_iou
from ..visualization.people import draw_people
from .background import Background
from .frame_sources import FrameSource
from .pose_records import FORMATS, PoseJournal, as_record, read_journal, write_format
from .video_pose_frame import VideoPoseFrame
from .video_writer import VideoWriter, check_video_path

__all__ = ['OutputPlan', 'VideoOutputs']


class OutputPlan:
    """The files of one video, beside it unless said otherwise.

    Args:
        source: The video.
        formats: Of :data:`~star_pose.apis.pose_records.FORMATS`; None is COCO, unless a video alone
            is named.
        json_path: Name of the COCO file instead of ``VIDEO.poses.json``.
        video_path: Name of the drawn video instead of ``VIDEO.poses.mp4``.
        draw: Whether to draw at all; None: unless only poses are named.

    Attributes:
        files: From a format to its file.
        video: The drawn video, or picture of a single image; None without.
        journal: What is written while the work goes on.
    """

    def __init__(
        self,
        source: FrameSource,
        formats: Sequence[str] | None = None,
        json_path: str | None = None,
        video_path: str | None = None,
        draw: bool | None = None,
    ):
        stem = f'{_stem(source)}.poses'
        named = json_path is not None or video_path is not None
        if formats is None:
            formats = ['coco'] if json_path is not None or not named else []
        self.files = {name: stem + FORMATS[name][0] for name in formats}
        if json_path is not None:
            self.files['coco'] = json_path
        draw = (video_path is not None or not named) if draw is None else draw
        self.video = (
            (video_path or stem + ('.png' if source.is_still else '.mp4')) if draw else None
        )
        first = json_path or video_path
        self.journal = (osp.splitext(first)[0] if first else stem) + '.jsonl'

    def check(
        self, inputs: Sequence[str], rate: float, overwrite: bool = False, resume: bool = False
    ) -> None:
        """Refuse, before any work, what could not be written or would destroy something.

        Args:
            inputs: Files that are read.
            rate: Frames a second of the drawn video.
            overwrite: Whether files of these names may be replaced.
            resume: Whether a journal is expected.

        Raises:
            OutputError: If a file is an input, exists, is a folder, or cannot be created.
            LabelError: If a video of this name or rate could not be read back.
        """
        targets = [*self.files.values(), *([self.video] if self.video else []), self.journal]
        if len({osp.realpath(path) for path in targets}) < len(targets):
            raise OutputError(f'two outputs have the same name: {", ".join(targets)}')
        for path in targets:
            check_output(path, inputs)
            if osp.exists(path) and not (overwrite or resume):
                raise OutputError(
                    f'output {path} exists; --overwrite replaces it, --resume goes on, '
                    '--out-json and --out-video give other names'
                )
        if self.video and not self.video.endswith('.png'):
            check_video_path(self.video, rate)


def _stem(source: FrameSource) -> str:
    """The input's path without its ending; for what has no path, a name in the working folder."""
    if len(source.paths) == 1:
        return osp.splitext(source.paths[0])[0]
    if source.paths:
        return osp.dirname(osp.abspath(source.paths[0]))
    return ''.join(c if c.isalnum() or c in '-_.' else '_' for c in source.name)


class VideoOutputs:
    """Writes the frames of a video; use it in a ``with`` statement, which makes the files whole.

    Drawing and encoding are done in a thread of their own, while the next frames are looked at.

    However the work ends, all that was found is in whole files of the planned names then. The
    journal is removed when the video is through; until then :meth:`resume` goes on from it.

    Args:
        plan: Checked.
        header: Of the journal, with ``info``.
        dataset_meta: For the drawing.
        rate: Frames a second, of the drawn video.
        kpt_thr: As of :func:`~star_pose.visualization.people.draw_people`.

    Attributes:
        frames, poses: How many were written.
        uncertain: Of these frames, those whose number is a guess: they stand behind damage.
        tracks: The ids so far.
        complete: Whether the source is through; set it before the block ends.
        drawing: The thread that draws.
    """

    def __init__(
        self,
        plan: OutputPlan,
        header: Mapping,
        dataset_meta: Mapping,
        rate: float,
        kpt_thr: float = 0.2,
    ):
        self.plan, self.header, self.meta = plan, header, dataset_meta
        self.kpt_thr = kpt_thr
        self.frames, self.uncertain, self.poses, self.tracks = 0, 0, 0, set()
        self.complete = False
        self.start = 0
        self.drawing = Background()
        self._rate = rate
        self._size: tuple[int, int] | None = None
        self._writer: VideoWriter | None = None
        self._journal: PoseJournal | None = None
        self._last: dict[int, dict] = {}
        self._ids: dict[int, int] = {}

    def resume(self, source: FrameSource) -> int:
        """Take up what an earlier run has left: count it, and draw it again.

        Args:
            source: The video.

        Returns:
            Number of the first frame to look at: some before the first new one, so that tracks,
            evidence and smoothing are under way there. :meth:`add` knows which are new.

        Raises:
            LabelError: If the journal is damaged.
            OutputError: If it is that of another model or video.
        """
        if not osp.exists(self.plan.journal):
            return 0
        header, records = read_journal(self.plan.journal)
        for key in ('video', 'joints'):
            if header[key] != self.header[key]:
                raise OutputError(
                    f'{self.plan.journal} has {key} {header[key]}, not {self.header[key]}: it '
                    'belongs to another run; --overwrite begins anew'
                )
        # The file may end in half a line: it is written anew up to there
        self._journal = PoseJournal(self.plan.journal, self.header, records)
        self._last = {record['frame']: record for record in records}
        self.start = records[-1]['frame'] + 1 if records else 0
        for record in records:
            self._count(record)
        if self.plan.video and records:
            for frame in source.frames(0):
                if frame.index >= self.start:
                    break
                if frame.index in self._last:
                    self._draw(frame.image, frame.time, self._last[frame.index], frame.duration)
        return max(0, self.start - 30)

    def add(self, frame: VideoPoseFrame) -> None:
        """Write a frame; one that an earlier run has written tells which ids it gave to whom."""
        if self._journal is None:
            self._journal = PoseJournal(self.plan.journal, self.header)
        record = as_record(frame)
        if frame.index < self.start:
            self._compare(record)
            return
        if self.start:
            for person in record['people']:
                person['track_id'] = self._old_id(person['track_id'])
        self._journal.add(record)
        self._count(record)
        self._draw(frame.image, frame.time, record, frame.duration)

    def _count(self, record: Mapping) -> None:
        self.frames += 1
        self.uncertain += not record.get('certain', True)
        self.poses += len(record['people'])
        self.tracks.update(p['track_id'] for p in record['people'] if p['track_id'] >= 0)

    def _compare(self, record: Mapping) -> None:
        """Learn which of the earlier run's ids this run's ids are."""
        old = self._last.get(record['frame'], {'people': []})['people']
        new = record['people']
        if not old or not new:
            return
        overlap = box_iou(np.array([p['box'] for p in new]), np.array([p['box'] for p in old]))
        for person, row in zip(new, overlap, strict=True):
            if row.max() >= 0.5 and person['track_id'] >= 0:
                self._ids[person['track_id']] = old[row.argmax()]['track_id']

    def _old_id(self, track: int) -> int:
        if track < 0:
            return track
        if track not in self._ids:
            self._ids[track] = max(self.tracks | set(self._ids.values()), default=-1) + 1
        return self._ids[track]

    def _draw(
        self, image: np.ndarray, time: float, record: Mapping, duration: float | None
    ) -> None:
        if self.plan.video is not None:
            self.drawing.put(self._draw_now, image, time, record, duration)

    def _draw_now(
        self, image: np.ndarray, time: float, record: Mapping, duration: float | None
    ) -> None:
        people = record['people']
        points = np.array([p['keypoints'] for p in people], float)
        points = points.reshape(len(people), len(self.header['joints']), 3)
        drawn = draw_people(
            image[..., ::-1],  # BGR to RGB
            points[..., :2],
            points[..., 2],
            np.array([p['box'] for p in people], float).reshape(-1, 4),
            [p['track_id'] for p in people],
            self.meta,
            self.kpt_thr,
        )
        if self.plan.video.endswith('.png'):
            with whole_file(self.plan.video, 'wb') as file:
                file.write(cv2.imencode('.png', drawn[..., ::-1])[1].tobytes())
            return
        if self._writer is None:
            self._size = drawn.shape[1::-1]
            self._writer = VideoWriter(self.plan.video, self._rate)
        if drawn.shape[1::-1] != self._size:
            drawn = _fit(drawn, self._size)
        self._writer.write(drawn, time, duration)

    def __enter__(self) -> VideoOutputs:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if self._journal is None and kind is None:
            self._journal = PoseJournal(self.plan.journal, self.header)
        if self._journal is None:
            return
        # Each on its own: on a full disk the one file must not cost the other
        faults = []
        steps = (self._journal.close, self.drawing.close, self._close_video, self._write_files)
        for finish in steps:
            try:
                finish()
            except OSError as fault:
                faults.append(fault)
        if faults and kind is None:
            raise OutputError(
                f'not everything could be written ({faults[0].strerror}); '
                f'what was found is in {self.plan.journal}'
            ) from faults[0]
        if kind is None and self.complete and not faults:
            with contextlib.suppress(OSError):
                os.remove(self.plan.journal)

    def _close_video(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _write_files(self) -> None:
        header, records = read_journal(self.plan.journal)
        for name, path in self.plan.files.items():
            write_format(name, path, header, records)


def _fit(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fit a frame of another size into the video, with black at its borders."""
    w, h = size
    zoom = min(w / image.shape[1], h / image.shape[0])
    inner = max(1, int(image.shape[1] * zoom)), max(1, int(image.shape[0] * zoom))
    canvas = np.zeros((h, w, 3), np.uint8)
    left, top = (w - inner[0]) // 2, (h - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(image, inner)
    return canvas
