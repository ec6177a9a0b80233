"""The one place where frames are read: images, and frames of video files named ``path.mp4#12``."""

import collections
import os
import re
from collections.abc import Sequence
from typing import ClassVar

import mmcv
import mmengine.fileio as fileio
import numpy as np

from ..errors import DataError
from .video_file import VideoFile

__all__ = ['ClipReadError', 'ClipReader', 'split_ref', 'video_refs']

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.ts')
_VIDEO_REF = re.compile(
    rf'(?P<path>.+({"|".join(map(re.escape, VIDEO_SUFFIXES))}))#(?P<frame>\d+)', re.IGNORECASE
)
_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
_PNG_START, _PNG_END = b'\x89PNG', b'IEND'


class ClipReadError(DataError, OSError):
    """A frame cannot be read; the text names file, frame and cause."""


def split_ref(ref: str) -> tuple[str, int | None]:
    """Take a frame reference apart.

    Args:
        ref: ``'folder/000012.jpg'``, or ``'folder/video.mp4#12'`` for the frame at position 12
            (from 0) of a video file.

    Returns:
        Path, and the position in a video; None for an image file.

    Example:
        >>> split_ref('a/b.mp4#12'), split_ref('a/b#12.png')
        (('a/b.mp4', 12), ('a/b#12.png', None))
    """
    match = _VIDEO_REF.fullmatch(ref)
    return (match['path'], int(match['frame'])) if match else (ref, None)


def video_refs(path: str) -> list[str]:
    """References of all frames of a video file, in time order.

    Raises:
        ClipReadError: The video cannot be read.
    """
    try:
        return [f'{path}#{index}' for index in range(len(VideoFile(path)))]
    except (OSError, ValueError) as error:
        raise ClipReadError(str(error)) from error


class ClipReader:
    """Read frames and keep the latest ones decoded.

    Neighbouring samples share frames: the five persons of a frame, and the clips around frames
    t and t+1. With sequential access each frame is decoded once a process.

    The arrays that are handed out are shared and therefore read-only.

    Args:
        cache_mb: Size of the kept frames in MiB, per process; 0 keeps none. 256 MiB hold 97
            frames of 1280x720.
        color_type: As in mmcv's ``imfrombytes``; for image files.
        imdecode_backend: As in mmcv's ``imfrombytes``; for image files.
        backend_args: As in mmengine's ``fileio``; for image files.
        max_videos: Number of video files that are kept open.
    """

    _shared: ClassVar[dict[tuple[int, str], 'ClipReader']] = {}

    def __init__(
        self,
        cache_mb: float = 256,
        color_type: str = 'color',
        imdecode_backend: str = 'cv2',
        backend_args: dict | None = None,
        max_videos: int = 4,
    ) -> None:
        if cache_mb < 0:
            raise ValueError(f'cache_mb must not be negative, got {cache_mb}')
        self.cache_bytes = int(cache_mb * 2**20)
        self.color_type = color_type
        self.imdecode_backend = imdecode_backend
        self.backend_args = backend_args
        self.max_videos = max_videos
        self.num_decoded = 0
        self._frames: collections.OrderedDict[str, np.ndarray] = collections.OrderedDict()
        self._bytes = 0
        self._videos: collections.OrderedDict[str, VideoFile] = collections.OrderedDict()

    @classmethod
    def shared(cls, **kwargs) -> 'ClipReader':
        """The reader with these arguments that everything in this process shares.

        A forked loader worker gets readers of its own: an open video must not cross a fork. The
        parent's readers stay referenced there, because to close a decoder whose threads only the
        parent has would wait for them for ever.
        """
        key = (os.getpid(), repr(sorted(kwargs.items())))
        if key not in cls._shared:
            cls._shared[key] = cls(**kwargs)
        return cls._shared[key]

    def read(self, ref: str) -> np.ndarray:
        """Read one frame.

        Args:
            ref: Frame reference, see :func:`split_ref`.

        Returns:
            The frame, (H, W, 3) uint8 BGR, read-only.

        Raises:
            ClipReadError: It cannot be read, or is truncated.
        """
        frame = self._frames.get(ref)
        if frame is not None:
            self._frames.move_to_end(ref)
            return frame
        path, index = split_ref(ref)
        frame = self._read_image(path) if index is None else self._read_video(path, index)
        self.num_decoded += 1
        frame.flags.writeable = False
        self._keep(ref, frame)
        return frame

    def read_clip(self, refs: Sequence[str]) -> list[np.ndarray]:
        """Read the frames of a clip; a frame that occurs twice is decoded once.

        Args:
            refs: T frame references, in any order.

        Returns:
            T frames as of :meth:`read`, in the order of ``refs``.
        """
        # Ascending positions let a video be decoded in one pass
        frames = {ref: self.read(ref) for ref in sorted(set(refs), key=split_ref_order)}
        return [frames[ref] for ref in refs]

    def _keep(self, ref: str, frame: np.ndarray) -> None:
        if frame.nbytes > self.cache_bytes:
            return
        self._frames[ref] = frame
        self._bytes += frame.nbytes
        while self._bytes > self.cache_bytes:
            self._bytes -= self._frames.popitem(last=False)[1].nbytes

    def _read_image(self, path: str) -> np.ndarray:
        try:
            content = fileio.get(path, backend_args=self.backend_args)
        except OSError as error:
            raise ClipReadError(f'cannot read frame {path}: {error}') from error
        fault = _truncation(content)
        if fault:
            raise ClipReadError(f'frame {path} is {fault} ({len(content)} bytes)')
        try:
            image = mmcv.imfrombytes(content, self.color_type, backend=self.imdecode_backend)
        except Exception as error:  # cv2, Pillow, turbojpeg and tifffile raise types of their own
            raise ClipReadError(f'cannot decode frame {path}: {error}') from error
        if image is None:
            raise ClipReadError(f'frame {path} is no image that can be decoded')
        return image

    def _read_video(self, path: str, index: int) -> np.ndarray:
        try:
            if path not in self._videos:
                self._videos[path] = VideoFile(path)
                while len(self._videos) > self.max_videos:
                    self._videos.popitem(last=False)
            self._videos.move_to_end(path)
            return self._videos[path].read(index)
        except (OSError, IndexError, ValueError) as error:
            raise ClipReadError(f'cannot read frame {index} of {path}: {error}') from error


def split_ref_order(ref: str) -> tuple[str, int]:
    """Sort key of a reference: by file, then by position in it."""
    path, index = split_ref(ref)
    return path, -1 if index is None else index


def _truncation(content: bytes) -> str:
    """Say how an image file is cut short; an empty string when it is not, or not known.

    Decoders fill what is missing of a JPEG with grey and only print a warning, which would be a
    silent wrong sample. In a whole JPEG an end marker follows the last scan; a thumbnail's end
    marker lies before it, and the coded data itself can hold neither marker.
    """
    if not content:
        return 'an empty file'
    if content.startswith(_JPEG_START) and content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN):
        return 'a truncated JPEG'
    if content.startswith(_JPEG_START) and _JPEG_SCAN not in content:
        return 'a truncated JPEG'
    if content.startswith(_PNG_START) and _PNG_END not in content[-64:]:
        return 'a truncated PNG'
    return ''
