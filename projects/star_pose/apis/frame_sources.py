"""Where the frames of a video come from: files, folders, cameras, streams, arrays."""

from __future__ import annotations

import abc
import glob
import os
import os.path as osp
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import av
import cv2
import numpy as np

from ..datasets.errors import DataError, DataNotFoundError, LabelError
from ..datasets.frames.clip_reader import VIDEO_SUFFIXES, ClipReader, ClipReadError
from ..datasets.frames.video_file import VideoFile, stream_film

__all__ = ['IMAGE_SUFFIXES', 'FrameSource', 'SourceFrame', 'open_source']

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
DEFAULT_RATE = 25.0  # frames a second, of what has no clock of its own


@dataclass
class SourceFrame:
    """A frame as it comes in.

    Attributes:
        index: Its number in the source, from 0; frames that cannot be read leave a gap.
        time: Seconds since the first frame.
        image: (H, W, 3) uint8 BGR, read-only.
        name: ``match.mp4#12``, the name of an image file, or the number.
        arrived: ``time.monotonic()`` when it was there.
        duration: Seconds that it is shown, None where nobody says.
        certain: Whether the number is certain; behind damage in a video it is a guess.
    """

    index: int
    time: float
    image: np.ndarray
    name: str
    arrived: float = 0.0
    duration: float | None = None
    certain: bool = True


class FrameSource(abc.ABC):
    """Frames one after another, with a clock; the base of all sources.

    Attributes:
        name: For messages and result files.
        paths: Files that are read; nothing may be written over them.
        count: Number of frames as far as it is known without reading, else None.
        rate: Frames a second.
        size: (w, h) of the first frame if known before reading.
        is_still: Whether the frames are single pictures rather than a film.
        bad: What could not be read: (index, message), filled while reading.
    """

    def __init__(self, name: str, count: int | None = None, rate: float = DEFAULT_RATE):
        self.name = name
        self.paths: list[str] = []
        self.count = count
        self.rate = rate
        self.is_still = False
        self.bad: list[tuple[int, str]] = []

    @abc.abstractmethod
    def frames(self, start: int = 0) -> Iterator[SourceFrame]:
        """Read the frames in order, from number ``start`` on; unreadable ones go to ``bad``."""

    def names(self) -> list[str] | None:
        """Names of all frames, None where their number is not known."""
        return None


class _VideoFileSource(FrameSource):
    def __init__(self, path: str):
        try:
            with av.open(path, metadata_errors='replace') as container:
                stream = container.streams.video[0]
                rate = stream.average_rate or stream.guessed_rate
                super().__init__(osp.basename(path), stream.frames or None)
            next(stream_film(path))  # that there is something to decode is better known now
        except (av.error.FFmpegError, OSError, IndexError, StopIteration, ValueError) as error:
            reason = str(error) or 'it has no video'
            raise ClipReadError(f'cannot read video {path}: {reason}') from error
        self.rate = float(rate or DEFAULT_RATE)
        self.paths = [path]

    def frames(self, start: int = 0) -> Iterator[SourceFrame]:
        for frame in stream_film(self.paths[0]):
            if frame.image is None:
                self.bad.append((frame.index, f'{self.paths[0]}, {frame.fault}'))
            elif frame.index >= start:
                name = f'{self.name}#{frame.index}'
                yield SourceFrame(
                    frame.index,
                    frame.time,
                    frame.image,
                    name,
                    duration=frame.duration,
                    certain=frame.certain,
                )

    def names(self) -> list[str]:
        return [f'{self.name}#{index}' for index in range(len(VideoFile(self.paths[0])))]


class _ImageSource(FrameSource):
    """Image files, in the given order."""

    def __init__(self, name: str, paths: list[str], rate: float | None, is_still: bool = False):
        super().__init__(name, len(paths), rate or DEFAULT_RATE)
        self.paths = list(paths)
        self.is_still = is_still

    def frames(self, start: int = 0) -> Iterator[SourceFrame]:
        reader = ClipReader(cache_mb=0)
        for index in range(start, self.count):
            path = self.paths[index]
            try:
                image = reader.read(path)
            except DataError as error:
                self.bad.append((index, str(error)))
                continue
            yield SourceFrame(index, index / self.rate, image, osp.basename(path))

    def names(self) -> list[str]:
        # With the folder, which tells the pictures of one video from those of another
        return [osp.join(osp.basename(osp.dirname(osp.abspath(p))), osp.basename(p))
                for p in self.paths]  # fmt: skip


class _StreamSource(FrameSource):
    """What FFmpeg can open but not seek in: URLs and standard input."""

    def __init__(self, name: str, handle):
        try:
            self._container = av.open(handle)
            self._stream = self._container.streams.video[0]
        except (av.error.FFmpegError, IndexError, ValueError) as error:
            raise ClipReadError(f'cannot open stream {name}: {error or "no video"}') from error
        rate = self._stream.average_rate or self._stream.guessed_rate
        super().__init__(name, None, float(rate or DEFAULT_RATE))

    def frames(self, start: int = 0) -> Iterator[SourceFrame]:
        first, index, certain = None, 0, True
        decoded = self._container.decode(self._stream)
        while True:
            try:
                frame = next(decoded)
            except StopIteration:
                return
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                self.bad.append((index, f'frame {index} of {self.name}: {error}'))
                index, certain = index + 1, False
                if len(self.bad) > 100 and index == len(self.bad):
                    raise ClipReadError(f'stream {self.name}: nothing can be decoded') from error
                continue
            clock = frame.time if frame.time is not None else index / self.rate
            first = clock if first is None else first
            if index >= start:
                image = frame.to_ndarray(format='bgr24')
                name = f'{self.name}#{index}'
                yield SourceFrame(index, clock - first, image, name, certain=certain)
            index += 1


class _CameraSource(FrameSource):
    def __init__(self, number: int):
        self._camera = cv2.VideoCapture(number)
        if not self._camera.isOpened():
            raise DataNotFoundError.describe(f'camera {number}', f'/dev/video{number}')
        rate = self._camera.get(cv2.CAP_PROP_FPS)
        super().__init__(f'camera{number}', None, rate if 0 < rate < 1000 else DEFAULT_RATE)

    def frames(self, start: int = 0) -> Iterator[SourceFrame]:
        index, began = 0, time.monotonic()
        while True:
            there, image = self._camera.read()
            if not there:
                self._camera.release()
                return
            if index >= start:
                yield SourceFrame(index, time.monotonic() - began, image, f'{self.name}#{index}')
            index += 1


class _ArraySource(FrameSource):
    """Arrays of the caller; they are checked, not copied."""

    def __init__(self, images: Iterable[np.ndarray], rate: float | None):
        count = len(images) if hasattr(images, '__len__') else None
        super().__init__('frames', count, rate or DEFAULT_RATE)
        self._images = images

    def frames(self, start: int = 0) -> Iterator[SourceFrame]:
        for index, image in enumerate(self._images):
            if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
                kind = getattr(image, 'dtype', type(image).__name__)
                raise LabelError(f'frame {index} is {kind}; give (H, W, 3) uint8 BGR arrays')
            if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
                raise LabelError(
                    f'frame {index} has shape {image.shape}; give (H, W, 3) uint8 BGR arrays'
                )
            if index >= start:
                yield SourceFrame(index, index / self.rate, image, str(index))

    def names(self) -> list[str] | None:
        return None if self.count is None else [str(index) for index in range(self.count)]


def open_source(source: object, rate: float | None = None) -> FrameSource:
    """Open whatever holds frames.

    Args:
        source: A path of a video, an image, a folder of images or a pattern such as
            ``'walk/*.jpg'``; the number of a camera; a URL such as ``rtsp://...``; ``'-'`` for
            standard input; an array (H, W, 3) or (T, H, W, 3), a list of paths of images, or
            anything that yields arrays (H, W, 3) uint8 BGR.
        rate: Frames a second of what has no clock: images and arrays.

    Raises:
        DataNotFoundError: If there is nothing.
        ClipReadError: If the video or stream cannot be read.
        LabelError: If it is neither video nor image.
    """
    if isinstance(source, FrameSource):
        return source
    if isinstance(source, (int, np.integer)):
        return _CameraSource(int(source))
    if isinstance(source, np.ndarray):
        still = source.ndim == 3
        opened = _ArraySource(source[None] if still else source, rate)
        opened.is_still = still
        return opened
    if isinstance(source, (str, os.PathLike)):
        return _open_path(str(source), rate)
    if isinstance(source, (list, tuple)) and source and isinstance(source[0], str):
        return _ImageSource(osp.basename(source[0]), list(source), rate)
    if isinstance(source, Iterable):
        return _ArraySource(source, rate)
    raise LabelError(f'a {type(source).__name__} is no source of frames')


def _open_path(path: str, rate: float | None) -> FrameSource:
    if path == '-':
        return _StreamSource('stdin', sys.stdin.buffer)
    if '://' in path:
        return _StreamSource(path, path)
    if path.isdecimal() and not osp.exists(path):
        return _CameraSource(int(path))
    if osp.isdir(path):
        names = [name for name in os.listdir(path) if name.lower().endswith(IMAGE_SUFFIXES)]
        if not names:
            raise DataNotFoundError.describe('images in the folder', path)
        paths = [osp.join(path, name) for name in sorted(names, key=_by_number)]
        return _ImageSource(osp.basename(osp.abspath(path)), paths, rate)
    if not osp.isfile(path):
        return _open_pattern(path, rate)
    if path.lower().endswith(VIDEO_SUFFIXES):
        return _VideoFileSource(path)
    if path.lower().endswith(IMAGE_SUFFIXES):
        return _ImageSource(osp.basename(path), [path], rate, is_still=True)
    raise LabelError(
        f'{path} is neither a video ({" ".join(VIDEO_SUFFIXES)}) nor an image '
        f'({" ".join(IMAGE_SUFFIXES)})'
    )


def _open_pattern(pattern: str, rate: float | None) -> FrameSource:
    found = glob.glob(pattern) if glob.has_magic(pattern) else []
    paths = sorted((p for p in found if p.lower().endswith(IMAGE_SUFFIXES)), key=_by_number)
    if not paths:
        raise DataNotFoundError.describe('video file, image or folder of images', pattern)
    return _ImageSource(osp.basename(osp.dirname(osp.abspath(paths[0]))), paths, rate)


def _by_number(name: str) -> tuple[list[int], str]:
    digits = ''.join(c if c.isdecimal() else ' ' for c in osp.basename(name)).split()
    return [int(number) for number in digits], name
