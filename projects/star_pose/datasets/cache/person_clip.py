"""A person cut out of a clip, and how it is kept as bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import struct
import zlib

import cv2
import numpy as np

from ..frames.clip_reader import ClipReadError
from ..frames.source_view import SourceView

__all__ = ['CODECS', 'PersonClip', 'clip_key']

CODECS = ('jpeg', 'i420')
_MAGIC = b'SPC1'
_HEAD = struct.Struct('<4sI')  # magic, CRC-32 of all that follows
_LENGTH = struct.Struct('<I')  # of the JSON header


def clip_key(results: dict) -> bytes:
    """The name of a clip: of its frames, its target among them, and its box.

    Whatever changes one of them, such as another stride or new boxes, gives another name, so that
    a cache which does not fit is never taken for one that does. Only the last three parts of a
    path count: data may move.

    Args:
        results: A sample after ``SampleClipFrames``.
    """
    frames = ['/'.join(pathlib.PurePath(path).parts[-3:]) for path in results['frame_paths']]
    box = [round(float(value), 2) for value in np.ravel(results['bbox'])]
    text = json.dumps([frames, int(results['target_idx']), box])
    return hashlib.sha1(text.encode(), usedforsecurity=False).digest()


@dataclasses.dataclass
class PersonClip:
    """T cut-out frames, and where in the frame they lie.

    Attributes:
        images: T images (h, w, 3) uint8 BGR; frames that occur twice are the same array.
        view: Size and place of the images in the frame.
    """

    images: list[np.ndarray]
    view: SourceView

    def to_bytes(self, codec: str = 'jpeg', quality: int = 90) -> bytes:
        """Encode the clip, with a check sum.

        Args:
            codec: ``'jpeg'``; or ``'i420'``: uncompressed with halved chroma, five to seven times
                as large, for a loader that is a little faster where the disk is fast, too.
            quality: Of the JPEG coding.
        """
        unique = {id(image): image for image in self.images}
        order = [list(unique).index(id(image)) for image in self.images]
        blobs = [_encode(image, codec, quality) for image in unique.values()]
        header = dict(
            codec=codec,
            frame_size=self.view.frame_size,
            image_size=self.view.image_size,
            to_frame=self.view.to_frame.ravel().tolist(),
            order=order,
            sizes=[len(blob) for blob in blobs],
        )
        text = json.dumps(header).encode()
        body = _LENGTH.pack(len(text)) + text + b''.join(blobs)
        return _HEAD.pack(_MAGIC, zlib.crc32(body)) + body

    @classmethod
    def from_bytes(cls, record: bytes | memoryview) -> PersonClip:
        """Decode a clip.

        Args:
            record: What :meth:`to_bytes` gave; no array refers to it afterwards.

        Raises:
            ClipReadError: The record is damaged.
        """
        if len(record) < _HEAD.size or record[:4] != _MAGIC:
            raise ClipReadError('the record is no person clip, or cut short')
        _, checksum = _HEAD.unpack_from(record)
        body = memoryview(record)[_HEAD.size :]
        if zlib.crc32(body) != checksum:
            raise ClipReadError('the check sum of the record is wrong: it is damaged')
        start = _LENGTH.size + _LENGTH.unpack_from(body)[0]
        header = json.loads(bytes(body[_LENGTH.size : start]))
        size, images = tuple(header['image_size']), []
        for blob_size in header['sizes']:
            images.append(_decode(body[start : start + blob_size], header['codec'], size))
            start += blob_size
        to_frame = np.array(header['to_frame']).reshape(2, 3)
        view = SourceView.of_cut(tuple(header['frame_size']), size, to_frame)
        return cls([images[index] for index in header['order']], view)


def _encode(image: np.ndarray, codec: str, quality: int) -> bytes:
    if codec == 'jpeg':
        return cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    if image.shape[0] % 2 or image.shape[1] % 2:
        height, width = image.shape[:2]
        raise ValueError(f"codec 'i420' needs even sides, got {width}x{height}; use 'jpeg'")
    return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2YUV_I420).tobytes()


def _decode(blob: memoryview, codec: str, size: tuple[int, int]) -> np.ndarray:
    coded = np.frombuffer(blob, np.uint8)
    if codec == 'jpeg':
        return cv2.imdecode(coded, cv2.IMREAD_COLOR)
    width, height = size
    return cv2.cvtColor(coded.reshape(height * 3 // 2, width), cv2.COLOR_YUV2BGR_I420)
