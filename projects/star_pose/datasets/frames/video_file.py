"""Frame-exact random access to a video file."""

import bisect
import os

import av
import numpy as np

__all__ = ['VideoFile']


class VideoFile:
    """A video file whose frames are read by their position in presentation order.

    The time stamps of all packets are listed once, without decoding; a frame is then found by its
    own time stamp, so that variable frame rates, B-frames and key frames far apart cannot shift
    the count. Reading forwards goes on decoding where it stopped; every other read starts at the
    key frame before the target. One decoding thread: loader workers already fill the cores.

    Not to be shared between processes: the file position would be shared with it.

    Args:
        path: A file that FFmpeg can read.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no video that can be decoded.
    """

    def __init__(self, path: str) -> None:
        if not os.path.isfile(path):
            raise FileNotFoundError(f'video file not found: {path}')
        self.path = path
        try:
            self._container = av.open(path)
            if not self._container.streams.video:
                raise ValueError('it has no video stream')
            self._stream = self._container.streams.video[0]
            self._stream.codec_context.thread_count = 1
            self._list_packets()
            self._turns = self._read_turns()
        except (av.error.FFmpegError, ValueError) as error:
            raise ValueError(f'cannot read video {path}: {error}') from error
        self._next = None  # position of the frame that self._decoded gives next; None: unknown

    def __len__(self) -> int:
        return len(self._stamps) if self._stamps is not None else self._count

    def _list_packets(self) -> None:
        """List time stamps (pts) of all frames, and (pts, dts) of key frames, both ascending."""
        stamps, keys = [], []
        for packet in self._container.demux(self._stream):
            if packet.size == 0 or packet.is_discard:
                continue
            stamps.append(packet.pts)
            if packet.is_keyframe:
                keys.append((packet.pts, packet.dts if packet.dts is not None else packet.pts))
        if not stamps:
            raise ValueError('it has no frames')
        if None in stamps or len(set(stamps)) != len(stamps):
            # Old containers give no usable presentation times: count decoded frames instead
            self._stamps, self._keys = None, []
            self._seek(0)
            self._count = sum(1 for _ in self._decoded)
            return
        self._stamps, self._keys = sorted(stamps), sorted(keys)

    def read(self, index: int) -> np.ndarray:
        """Decode one frame.

        Args:
            index: Position in presentation order, in [0, len).

        Returns:
            The frame, (H, W, 3) uint8 BGR, turned as the file's display matrix says.

        Raises:
            IndexError: The video has no such frame.
            ValueError: The frame cannot be decoded.
        """
        if not 0 <= index < len(self):
            raise IndexError(f'frame {index} of {self.path}, which has {len(self)} frames')
        try:
            frame = self._find(index)
        except av.error.FFmpegError as error:
            self._next = None
            raise ValueError(f'cannot decode frame {index} of {self.path}: {error}') from error
        if frame is None:
            self._next = None
            raise ValueError(f'frame {index} of {self.path} is listed but cannot be decoded')
        image = frame.to_ndarray(format='bgr24')
        return np.ascontiguousarray(np.rot90(image, self._turns)) if self._turns else image

    def _read_turns(self) -> int:
        """Quarter turns, counterclockwise, that the file asks for: phones film on their side.

        The first frame is asked for all: some streams say it once, others with every frame.
        """
        self._seek(self._first_stamp)
        frame = next(self._decoded, None)
        return round(frame.rotation / 90) % 4 if frame is not None else 0

    def _find(self, index: int) -> av.VideoFrame | None:
        if self._stamps is None:
            return self._count_up_to(index)
        stamp = self._stamps[index]
        if self._next is not None and self._next <= index and not self._key_between(index):
            return self._decode_until(stamp, index)
        # The last key frame shown not after the target; where its pictures refer further back
        # (open groups of pictures), one key frame earlier, at last the start of the file.
        position = bisect.bisect_right(self._keys, (stamp, float('inf'))) - 1
        for key in range(position, max(position - 3, -1), -1):
            self._seek(self._keys[key][1])
            frame = self._decode_until(stamp, index)
            if frame is not None:
                return frame
        self._seek(self._first_stamp)
        return self._decode_until(stamp, index)

    def _key_between(self, index: int) -> bool:
        """Whether a key frame after the next frame leads to the target with less decoding."""
        first = bisect.bisect_right(self._keys, (self._stamps[self._next], float('inf')))
        last = bisect.bisect_right(self._keys, (self._stamps[index], float('inf')))
        return last > first and index > self._next + 1

    @property
    def _first_stamp(self) -> int:
        return min(self._stamps[0], 0) if self._stamps is not None else 0

    def _seek(self, stamp: int) -> None:
        self._container.seek(stamp, stream=self._stream, backward=True)
        self._decoded = self._container.decode(self._stream)

    def _decode_until(self, stamp: int, index: int) -> av.VideoFrame | None:
        for frame in self._decoded:
            if frame.pts is None or frame.pts < stamp:
                continue
            if frame.pts > stamp:
                break
            self._next = index + 1 if index + 1 < len(self) else None
            return frame
        self._next = None
        return None

    def _count_up_to(self, index: int) -> av.VideoFrame | None:
        """Find a frame by counting from the start, where there are no time stamps."""
        if self._next is None or self._next > index:
            self._seek(self._first_stamp)
            self._next = 0
        for frame in self._decoded:
            self._next += 1
            if self._next == index + 1:
                return frame
        return None
