"""A person cut out of a clip: what is cut, how it is kept as bytes, and by which name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import struct
import zlib

import cv2
import numpy as np
from mmpose.structures.bbox import bbox_xyxy2cs

from ..frames.clip_reader import ClipReadError, split_ref
from ..frames.geometry import SourceView, downsample, invert, resize_matrix

__all__ = ['PersonClip', 'PersonCutter', 'clip_key']

_MAGIC = b'SPC2'
_HEAD = struct.Struct('<4sI')  # magic, CRC-32 of all that follows
_LENGTH = struct.Struct('<I')  # of the JSON header


def clip_key(results: dict) -> bytes:
    """The name of a clip: of its frames, its target among them, and its box.

    Whatever changes one of them gives another name, so that a cache which does not fit is never
    taken for one that does. A frame is known by the last three parts of its path, since data may
    move, and by size and time of its file, since other data may have the same names.

    Args:
        results: A sample after ``SampleClipFrames``.

    Raises:
        ClipReadError: A frame's file is not there.
    """
    frames, files = [], {}
    for ref in results['frame_paths']:
        path, index = split_ref(ref)
        if path not in files:
            try:
                status = os.stat(path)
            except OSError as error:
                raise ClipReadError(
                    f'cannot tell whether the cache fits: no frame file {path}: {error}'
                ) from error
            place = '/'.join(pathlib.PurePath(path).parts[-3:])
            files[path] = [place, status.st_size, int(status.st_mtime)]
        frames.append([*files[path], index])
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

    def to_bytes(self, quality: int = 90) -> bytes:
        """Encode the clip as JPEG images of a quality, with a check sum."""
        unique = {id(image): image for image in self.images}
        order = [list(unique).index(id(image)) for image in self.images]
        flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
        blobs = [cv2.imencode('.jpg', image, flags)[1].tobytes() for image in unique.values()]
        header = dict(
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
        images = []
        for size in header['sizes']:
            coded = np.frombuffer(body[start : start + size], np.uint8)
            images.append(cv2.imdecode(coded, cv2.IMREAD_COLOR))
            start += size
        to_frame = np.array(header['to_frame']).reshape(2, 3)
        sizes = tuple(header['frame_size']), tuple(header['image_size'])
        return cls(
            [images[index] for index in header['order']], SourceView.of_cut(*sizes, to_frame)
        )


@dataclasses.dataclass(frozen=True)
class PersonCutter:
    """Cut a square around a person's box out of every frame of a clip.

    The square is that of the target frame's box for all frames, since one matrix warps them all.
    It has to hold whatever the augmentation will ask for. With MMPose's default augmentation
    (scale 0.5 to 1.5, rotation up to 80 degrees, shift 0.16), 1.2 % of the crops' pixels inside the
    frame fall outside a square of reach 1.4, 0.2 % of reach 1.6; they become black and masked, as
    pixels outside the frame do. A person larger than the crop is stored at the crop's scale, a
    smaller one as it is.

    Attributes:
        input_size: (w, h) of the crop at high resolution.
        padding: As of ``GetBBoxCenterScale``.
        reach: Side of the square, in longer sides of the padded box.
        quality: JPEG quality of the stored images.

    Raises:
        ValueError: ``reach`` is below 1 or ``quality`` not in [1, 100].
    """

    input_size: tuple[int, int] = (192, 256)
    padding: float = 1.25
    reach: float = 1.4
    quality: int = 90

    def __post_init__(self) -> None:
        if not 1 <= self.reach < np.inf:
            raise ValueError(f'reach must be at least 1, the padded box, got {self.reach}')
        if not 1 <= self.quality <= 100:
            raise ValueError(f'quality must be in [1, 100], got {self.quality}')

    def cut(self, frames: list[np.ndarray], bbox: np.ndarray) -> PersonClip:
        """Cut a clip.

        Args:
            frames: T frames (H, W, 3) uint8 of one size.
            bbox: (1, 4) or (4,), xyxy, of the target frame.
        """
        height, width = frames[0].shape[:2]
        centre, scale = bbox_xyxy2cs(np.asarray(bbox, np.float64).reshape(4), self.padding)
        ratio = self.input_size[0] / self.input_size[1]
        side = max(scale[0], scale[1] * ratio)  # the crop's width in the frame
        half = self.reach * max(side, side / ratio) / 2
        limit = np.array([width, height])
        # At least two pixels stay where the box lies outside the frame
        start = np.clip(np.floor(centre - half), 0, np.maximum(limit - 2, 0)).astype(int)
        end = np.clip(np.ceil(centre + half), start + 2, limit).astype(int)
        old = end - start
        new = np.maximum(np.round(old * min(1.0, self.input_size[0] / side)).astype(int), 2)
        unique = {id(frame): frame for frame in frames}
        cuts = [frame[start[1] : end[1], start[0] : end[0]] for frame in unique.values()]
        if (new < old).any():
            cuts = downsample(cuts, (int(new[0]), int(new[1])), 'bicubic')
        images = dict(zip(unique, cuts, strict=True))
        offset = (float(start[0]), float(start[1]))
        to_image = resize_matrix((new[0] / old[0], new[1] / old[1]), offset)
        view = SourceView.of_cut((width, height), (int(new[0]), int(new[1])), invert(to_image))
        return PersonClip([images[id(frame)] for frame in frames], view)
