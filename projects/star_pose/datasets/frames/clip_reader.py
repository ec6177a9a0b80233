"""The one place where frames are read: images, and frames of video files named ``path.mp4#12``."""

import collections
import io
import os
import re
from collections.abc import Sequence
from typing import ClassVar

import mmcv
import mmengine.fileio as fileio
import numpy as np
from PIL import ExifTags, Image

from ..errors import DataError
from .video_file import MAX_PIXELS, VideoFile

__all__ = [
    'IMAGE_SUFFIXES',
    'VIDEO_SUFFIXES',
    'ClipReadError',
    'ClipReader',
    'image_size',
    'split_ref',
    'video_refs',
    'video_times',
]

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.ts')
_VIDEO_REF = re.compile(
    rf'(?P<path>.+({"|".join(map(re.escape, VIDEO_SUFFIXES))}))#(?P<frame>\d+)', re.IGNORECASE
)
# A marker of a JPEG with a length, or its end: coded data has stuffed 0xFF and restarts only
_JPEG_MARKER = re.compile(rb'\xff[^\x00\xd0-\xd7\xff]', re.DOTALL)
_JPEG_START, _JPEG_END = b'\xff\xd8\xff', 0xD9
_PNG_START = b'\x89PNG\r\n\x1a\n'


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
    return [f'{path}#{index}' for index in range(len(video_times(path)))]


def video_times(path: str) -> tuple[float, ...]:
    """When each frame of a video file is shown, in seconds after the first.

    Raises:
        ClipReadError: The video cannot be read.
    """
    try:
        return VideoFile(path).times
    except (OSError, ValueError) as error:
        raise ClipReadError(str(error)) from error


def image_size(path: str) -> tuple[int, int]:
    """Size (w, h) of an image file as :class:`ClipReader` gives it, from its header if that does.

    Raises:
        ClipReadError: The image cannot be read.
    """
    try:
        with Image.open(path) as image:
            if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
                return image.size
    except Exception:  # Pillow raises types of its own; the reader says what is wrong
        pass
    height, width = ClipReader(cache_mb=0).read(path).shape[:2]
    return width, height


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
        fault = _image_fault(content)
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


def _image_fault(content: bytes) -> str:
    """Say what keeps an image file from being decoded; an empty string when nothing known does.

    Decoders fill what is missing of a JPEG with grey and only print a warning, which would be a
    silent wrong sample. What follows the picture's own end, such as the film of a motion photo, is
    no fault.
    """
    if not content:
        return 'an empty file'
    if content.startswith(_JPEG_START) and not _jpeg_ends(content):
        return 'a truncated JPEG'
    if content.startswith(_PNG_START) and not _png_ends(content):
        return 'a truncated PNG'
    try:
        with Image.open(io.BytesIO(content)) as header:
            size, turned = header.size, False
            if header.format == 'WEBP':
                turned = header.getexif().get(ExifTags.Base.Orientation, 1) != 1
    except Image.DecompressionBombError as error:
        return f'too large: {error}'
    except Exception:  # not every format is Pillow's; what is no image, the decoder will say
        return ''
    if size[0] * size[1] > MAX_PIXELS:
        return f'too large: {size[0]}x{size[1]} of at most {MAX_PIXELS} pixels'
    if turned:
        return 'a WebP with an EXIF orientation, which decoders do not follow: turn the image'
    return ''


def _jpeg_ends(content: bytes) -> bool:
    """Whether the end marker is reached, by the lengths of all segments before it."""
    position = 2
    while (marker := _JPEG_MARKER.search(content, position)) is not None:
        if content[marker.end() - 1] == _JPEG_END:
            return True
        position = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2], 'big')
    return False


def _png_ends(content: bytes) -> bool:
    """Whether the chunk IEND is reached by the lengths of all chunks before."""
    position = len(_PNG_START)
    while position + 12 <= len(content):
        if content[position + 4 : position + 8] == b'IEND':
            return True
        position += 12 + int.from_bytes(content[position : position + 4], 'big')
    return False
