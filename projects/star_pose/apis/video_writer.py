"""Write frames into a video file."""

from __future__ import annotations

import contextlib
import os
import os.path as osp
from fractions import Fraction
from types import TracebackType

import av
import numpy as np

from ..datasets.errors import LabelError

__all__ = ['WRITABLE_SUFFIXES', 'VideoWriter', 'check_video_path', 'video_rate']

WRITABLE_SUFFIXES = ('.mp4', '.m4v', '.mov', '.mkv')
"""Containers that keep the time of every frame of H.264."""

_TICKS = 90_000  # a second: the clock of MPEG; 25, 30 and 30000/1001 frames a second fit exactly
_FASTEST = 1000  # frames a second that Matroska's milliseconds can tell apart


def video_rate(path: str) -> Fraction | None:
    """Frames a second of a video file, None where it does not say."""
    with av.open(path) as container:
        return container.streams.video[0].average_rate


def check_video_path(path: str, rate: float | Fraction) -> None:
    """Refuse what could not be written so that it can be read back.

    Raises:
        LabelError: If the ending or the rate is none that the writer takes.
    """
    if osp.splitext(path)[1].lower() not in WRITABLE_SUFFIXES:
        raise LabelError(f'{path} must end in one of {" ".join(WRITABLE_SUFFIXES)}')
    if not 0 < rate <= _FASTEST:
        raise LabelError(f'{path}: {float(rate):g} frames a second; give more than 0 up to 1000')


class VideoWriter:
    """An H.264 file that every player opens; use it in a ``with`` statement.

    The file appears under its name when it is closed; until then it is ``NAME.part.mp4``.

    Args:
        path: The file; its ending, one of :data:`WRITABLE_SUFFIXES`, decides the container.
        rate: Frames a second, of frames that are written without a time.
        crf: Quality of H.264, lower is better; 18 is visually lossless.

    Raises:
        LabelError: If ending or rate are none that can be written, or frames differ in size.
        OSError: If the file cannot be written.
    """

    def __init__(self, path: str, rate: float | Fraction = 25, crf: int = 18):
        self.path = str(path)
        check_video_path(self.path, rate)
        self.rate = Fraction(rate).limit_denominator(65535)
        stem, suffix = osp.splitext(self.path)
        self._part = f'{stem}.part{suffix}'
        self._container = av.open(self._part, 'w')
        self._stream = self._container.add_stream(
            'libx264', rate=self.rate, options={'crf': str(crf), 'bf': '0', 'preset': 'veryfast'}
        )
        self._stream.pix_fmt = 'yuv420p'
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._shape: tuple[int, ...] | None = None
        self._next = 0  # earliest tick of the next frame
        self._count = 0
        self._duration = 0  # of the latest frame, in ticks

    def write(
        self, image: np.ndarray, time: float | None = None, duration: float | None = None
    ) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 RGB; all of one size. Odd sizes are padded by repeating the last
                row or column, as 4:2:0 chroma asks for.
            time: Seconds since the first frame, for variable frame rates.
            duration: Seconds that the frame is shown; it counts for the last one, as the others
                are shown until the next.
        """
        if self._shape is None:
            self._shape = image.shape
            self._stream.height, self._stream.width = (side + side % 2 for side in image.shape[:2])
        if image.shape != self._shape:
            raise LabelError(
                f'{self.path}: a frame of shape {image.shape} follows frames of {self._shape}'
            )
        padding = [(0, side % 2) for side in image.shape[:2]] + [(0, 0)]
        frame = av.VideoFrame.from_ndarray(np.pad(image, padding, mode='edge'), format='rgb24')
        seconds = self._count / self.rate if time is None else time
        frame.pts = max(round(seconds * _TICKS), self._next)
        frame.time_base = Fraction(1, _TICKS)
        # Frames closer than a millisecond would fall together in Matroska
        self._next = frame.pts + _TICKS // _FASTEST
        self._count += 1
        self._duration = round(_TICKS / self.rate if duration is None else duration * _TICKS)
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            packet.duration = self._duration
            packet.time_base = Fraction(1, _TICKS)
            self._container.mux(packet)

    def close(self) -> None:
        """Finish the file; without a frame there is none."""
        if self._shape is not None:
            self._mux(self._stream.encode())
        self._container.close()
        if self._shape is not None:
            os.replace(self._part, self.path)
        else:
            with contextlib.suppress(OSError):
                os.remove(self._part)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
