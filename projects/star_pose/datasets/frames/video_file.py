"""Frame-exact random access to a video file."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import os
import zlib
from collections.abc import Iterator

import av
import numpy as np
from mmengine.logging import print_log

__all__ = ['MAX_PIXELS', 'StreamedFrame', 'VideoFile', 'stream_film']

MAX_PIXELS = 180_000_000  # of one frame; a damaged header can ask for any amount of memory
_REORDER = 64  # more frames than any decoder holds back


@dataclasses.dataclass(frozen=True)
class _FrameIndex:
    """What decoding a file once from its start has shown, frame by frame.

    Attributes:
        stamps: Presentation time stamps as the decoder gives them.
        times: Seconds after the first frame.
        checksums: Of the luma plane.
        keys: (position, decoding time stamp) of the frames that decoding can start at, ascending.
    """

    stamps: tuple[int | None, ...]
    times: tuple[float, ...]
    checksums: tuple[int, ...]
    keys: tuple[tuple[int, int], ...]


class VideoFile:
    """A video file whose frames are read by their position in sequential decoding.

    Frame t is the t-th frame that decoding the file from its start gives. Time stamps alone do not
    say so: AVI and WMV have none for B-frames, some packets show no picture, others are dropped.
    Reading in order from the start therefore just decodes. The first other access, and ``len``,
    decode the file once and note time stamp and check sum of every frame (once a process and
    file; workers that are forked later inherit it). A frame is then found from the key frame before
    it, and its check sum has to agree.

    One decoding thread: loader workers already fill the cores. Not to be shared between processes:
    the file position would be shared with it.

    Args:
        path: A file that FFmpeg can read. Cover pictures in it are no film.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no film that can be decoded.
    """

    def __init__(self, path: str) -> None:
        if not os.path.isfile(path):
            raise FileNotFoundError(f'video file not found: {path}')
        self.path = path
        try:
            self._restart()
            first = next(self._decoded, None)
            if first is None:
                raise ValueError('it has no frames')
            self._turn = _read_turn(first) or (False, False, False)
        except (av.error.FFmpegError, ValueError) as error:
            raise ValueError(f'cannot read video {path}: {error}') from error
        self._decoded = itertools.chain([first], self._decoded)

    def __len__(self) -> int:
        return len(self._index.stamps)

    @property
    def times(self) -> tuple[float, ...]:
        """When each frame is shown, in seconds after the first.

        They are the file's own time stamps, so variable frame rates keep their rhythm. Where those
        do not ascend, as of B-frames in AVI, the average rate makes them.
        """
        return self._index.times

    @functools.cached_property
    def _index(self) -> _FrameIndex:
        status = os.stat(self.path)
        try:
            return _index_file(os.path.realpath(self.path), status.st_size, status.st_mtime_ns)
        except (av.error.FFmpegError, ValueError) as error:
            raise ValueError(f'cannot read video {self.path}: {error}') from error

    def read(self, index: int) -> np.ndarray:
        """Decode one frame.

        Args:
            index: Position in sequential decoding, in [0, len).

        Returns:
            The frame, (H, W, 3) uint8 BGR, turned and mirrored as the file's display matrix says.

        Raises:
            IndexError: The video has no such frame.
            ValueError: The frame cannot be decoded exactly.
        """
        in_order = index == self._next and self._from_start
        if not in_order and not 0 <= index < len(self):
            raise IndexError(f'frame {index} of {self.path}, which has {len(self)} frames')
        try:
            frame = next(self._decoded, None) if in_order else self._find(index)
            if frame is None and in_order:
                raise IndexError(f'frame {index} of {self.path}, which has {index} frames')
            if frame is None:
                raise ValueError('it decodes to another picture than in order from the start')
            turn = _read_turn(frame)
            if turn is not None and turn != self._turn:
                raise ValueError('its display matrix is not that of the first frame')
        except (av.error.FFmpegError, ValueError) as error:
            self._next = None
            raise ValueError(f'cannot decode frame {index} of {self.path}: {error}') from error
        self._next = index + 1
        # One thread: those of a converter do not survive a fork, and freeing it there would wait
        return _apply_turn(frame.to_ndarray(format='bgr24', threads=1), self._turn)

    def _restart(self) -> None:
        """Open the file anew: not in every container a seek leads back to its first packet."""
        self._container, self._stream = _open_film(self.path)
        self._decoded = self._container.decode(self._stream)
        self._next, self._from_start = 0, True

    def _seek(self, stamp: int, position: int) -> None:
        self._container.seek(stamp, stream=self._stream, backward=True)
        self._decoded = self._container.decode(self._stream)
        self._next, self._from_start = position, False

    def _find(self, index: int) -> av.VideoFrame | None:
        """Find a frame from where the decoder stands, from key frames before it, or by counting."""
        keys = [key for key in self._index.keys if key[0] <= index]
        ahead = self._next is not None and self._next <= index
        if ahead and (not keys or keys[-1][0] <= self._next):
            frame = self._decode_until(index)
            if frame is not None:
                return frame
        # Where pictures refer back beyond their key frame (open groups of pictures), one earlier
        for position, stamp in reversed(keys[-3:]):
            self._seek(stamp, position)
            frame = self._decode_until(index)
            if frame is not None:
                return frame
        self._restart()
        frame = next(itertools.islice(self._decoded, index, None), None)
        return frame if self._agrees(frame, index) else None

    def _decode_until(self, index: int) -> av.VideoFrame | None:
        limit = index - self._next + _REORDER
        for frame in itertools.islice(self._decoded, limit):
            if frame.pts == self._index.stamps[index] and self._agrees(frame, index):
                return frame
        return None

    def _agrees(self, frame: av.VideoFrame | None, index: int) -> bool:
        return frame is not None and _checksum(frame) == self._index.checksums[index]


@dataclasses.dataclass(frozen=True)
class StreamedFrame:
    """A frame of a file that is decoded once, in order.

    Attributes:
        index: Its number, from 0.
        time: Seconds after the first frame.
        image: (H, W, 3) uint8 BGR; None where nothing can be decoded.
        fault: Why, where there is no image.
        duration: Seconds that it is shown, None where the file does not say.
        certain: Whether the number is that of :class:`VideoFile`. Behind damage it is a guess.
    """

    index: int
    time: float
    image: np.ndarray | None
    fault: str = ''
    duration: float | None = None
    certain: bool = True


def stream_film(path: str) -> Iterator[StreamedFrame]:
    """Decode a file once from its start, whatever is damaged in it.

    Unlike :class:`VideoFile` it needs no second pass, keeps no index and goes on behind damage: a
    packet that cannot be decoded counts as one frame, and the numbers behind it are uncertain.

    Args:
        path: As of :class:`VideoFile`.

    Yields:
        The frames.

    Raises:
        ValueError: It holds no film that can be decoded.
    """
    container, stream = _open_film(path)
    with container:
        rate = stream.average_rate or stream.guessed_rate or 25
        index, first, latest, turn, certain = 0, None, -1.0, (False, False, False), True
        packets = container.demux(stream)
        while True:
            packet = None
            try:
                packet = next(packets, None)
                frames = [] if packet is None else packet.decode()
            except av.error.FFmpegError as error:
                yield StreamedFrame(index, float(index / rate), None, f'frame {index}: {error}')
                index, certain = index + 1, False
                frames = []
            if packet is None:
                break  # the end, or nothing more can be found
            for frame in frames:
                turn = (_read_turn(frame) or turn) if index == 0 else turn
                time = None if frame.pts is None else float(frame.pts * stream.time_base)
                first = time if first is None else first
                ascends = time is not None and time - first > latest
                latest = time - first if ascends else max(float(index / rate), latest)
                image = _apply_turn(frame.to_ndarray(format='bgr24'), turn)
                shown = float(frame.duration * stream.time_base) if frame.duration else None
                yield StreamedFrame(index, latest, image, duration=shown, certain=certain)
                index += 1
        _warn_if_cut(path, stream, index)


def _open_film(path: str) -> tuple[av.container.InputContainer, av.VideoStream]:
    """Open a file and choose its first video stream that is no cover picture."""
    container = av.open(path, metadata_errors='replace')
    picture = av.stream.Disposition.attached_pic
    films = [s for s in container.streams.video if not s.disposition & picture]
    if not films:
        raise ValueError('it has no video stream' + ' but a cover' * bool(container.streams.video))
    stream = films[0]
    if stream.codec_context is None:
        raise ValueError('its video stream has an unknown codec')
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {'max_pixels': str(MAX_PIXELS)}
    return container, stream


@functools.lru_cache(maxsize=4096)
def _index_file(path: str, size: int, changed: int) -> _FrameIndex:
    """Decode a file once; ``size`` and ``changed`` make a file that was replaced another one."""
    container, stream = _open_film(path)
    with container:
        stamps, checksums, starts = [], [], {}
        key_stamps = {}
        for packet in container.demux(stream):
            if packet.is_keyframe and packet.pts is not None:
                key_stamps[packet.pts] = packet.dts if packet.dts is not None else packet.pts
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                raise ValueError(
                    f'after frame {len(stamps) - 1} it is damaged, so later frames have no '
                    f'certain number ({error}); cut the video or encode it again'
                ) from error
            for frame in frames:
                if frame.pts in key_stamps:
                    starts[frame.pts] = len(stamps)
                stamps.append(frame.pts)
                checksums.append(_checksum(frame))
        if not stamps:
            raise ValueError('it has no frames')
        _warn_if_cut(path, stream, len(stamps))
        keys = sorted((position, key_stamps[pts]) for pts, position in starts.items())
        times = _times(stamps, stream)
        # A time stamp that occurs twice finds nothing: such files are counted through
        unique = len(set(stamps)) == len(stamps)
        return _FrameIndex(tuple(stamps), times, tuple(checksums), tuple(keys) if unique else ())


def _times(stamps: list[int | None], stream: av.VideoStream) -> tuple[float, ...]:
    if None not in stamps and all(a < b for a, b in itertools.pairwise(stamps)):
        return tuple(float((stamp - stamps[0]) * stream.time_base) for stamp in stamps)
    rate = stream.average_rate or stream.guessed_rate or 25
    return tuple(float(position / rate) for position in range(len(stamps)))


def _warn_if_cut(path: str, stream: av.VideoStream, found: int) -> None:
    if stream.frames > found:
        print_log(
            f'{path}: its header says {stream.frames} frames, {found} can be decoded: is it cut '
            'off, or damaged?',
            'current',
            logging.WARNING,
        )


def _checksum(frame: av.VideoFrame) -> int:
    """Check sum of the first plane, which holds the luma of every common pixel format."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    bits = frame.format.components[0].bits if frame.format.is_planar else 8 * plane.line_size
    used = min(plane.width * max(bits // 8, 1), plane.line_size)  # the rest of a line is padding
    return zlib.crc32(np.ascontiguousarray(rows[:, :used]))


def _read_turn(frame: av.VideoFrame) -> tuple[bool, bool, bool] | None:
    """How a frame is to be shown: whether transposed, then mirrored in x, in y; None: unsaid."""
    data = frame.side_data.get('DISPLAYMATRIX')
    if data is None:
        return None
    (a, b), (c, d) = np.frombuffer(data, np.int32)[[0, 1, 3, 4]].reshape(2, 2) / 2**16
    # x' = a x + c y, y' = b x + d y
    small = 1e-3 * max(abs(a), abs(b), abs(c), abs(d))
    if small and abs(b) <= small and abs(c) <= small and min(abs(a), abs(d)) > small:
        return False, bool(a < 0), bool(d < 0)
    if small and abs(a) <= small and abs(d) <= small and min(abs(b), abs(c)) > small:
        return True, bool(c < 0), bool(b < 0)
    raise ValueError(
        f'its display matrix [[{a:g}, {b:g}], [{c:g}, {d:g}]] is no quarter turn or mirror image'
    )


def _apply_turn(image: np.ndarray, turn: tuple[bool, bool, bool]) -> np.ndarray:
    transposed, mirror_x, mirror_y = turn
    image = image.transpose(1, 0, 2) if transposed else image  # H W C -> W H C
    image = image[:, ::-1] if mirror_x else image
    image = image[::-1] if mirror_y else image
    return np.ascontiguousarray(image)
