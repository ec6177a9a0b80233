"""How a person is cut out of a clip to be kept: as a crop, or as a square to be augmented."""

import dataclasses

import numpy as np
from mmpose.datasets.transforms import GetBBoxCenterScale
from mmpose.structures.bbox import bbox_xyxy2cs

from ..frames.downsample import downsample
from ..frames.geometry import invert, resize_matrix
from ..frames.source_view import SourceView
from ..transforms import ClipAffine
from .person_clip import PersonClip

__all__ = ['CropCutter', 'PersonCutter']


@dataclasses.dataclass(frozen=True)
class PersonCutter:
    """Cut a square around a person's box out of every frame of a clip.

    The square is that of the target frame's box for all frames, since one matrix warps them all.
    It has to hold whatever the augmentation will ask for. With MMPose's default augmentation
    (scale 0.5 to 1.5, rotation up to 80 degrees, shift 0.16), 1.2 per cent of the crops' pixels
    inside the frame fall outside a square of reach 1.4, 0.2 per cent of reach 1.6; they become
    black and masked, as pixels outside the frame do.

    Attributes:
        input_size: (w, h) of the crop at high resolution.
        padding: As of ``GetBBoxCenterScale``.
        reach: Side of the square, in longer sides of the padded box.
        resolution: Stored pixels per pixel of the crop, at most; a smaller person is stored as
            it is.
    """

    input_size: tuple[int, int] = (192, 256)
    padding: float = 1.25
    reach: float = 1.4
    resolution: float = 1.0

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
        crop = np.array([side, side / ratio])
        half = self.reach * crop.max() / 2
        limit = np.array([width, height])
        # At least two pixels stay where the box lies outside the frame
        start = np.clip(np.floor(centre - half), 0, np.maximum(limit - 2, 0)).astype(int)
        end = np.clip(np.ceil(centre + half), start + 2, limit).astype(int)
        end -= (end - start) % 2  # halved chroma needs even sides
        factor = min(1.0, self.resolution * self.input_size[0] / crop[0])
        old = end - start
        new = np.maximum(2 * np.round(old * factor / 2).astype(int), 2)
        unique = {id(frame): frame for frame in frames}
        cuts = [frame[start[1] : end[1], start[0] : end[0]] for frame in unique.values()]
        if (new < old).any():
            cuts = downsample(cuts, (int(new[0]), int(new[1])), 'bicubic')
        images = dict(zip(unique, cuts, strict=True))
        offset = (float(start[0]), float(start[1]))
        to_image = resize_matrix((new[0] / old[0], new[1] / old[1]), offset)
        view = SourceView.of_cut((width, height), (int(new[0]), int(new[1])), invert(to_image))
        return PersonClip([images[id(frame)] for frame in frames], view)


@dataclasses.dataclass(frozen=True)
class CropCutter:
    """Keep the very crop that ``ClipAffine`` makes, where nothing changes the box before it.

    Then nothing remains to be warped, and the model sees what it would see from full frames, but
    for the codec.

    Attributes:
        input_size: (w, h) of the crop at high resolution.
        padding: As of ``GetBBoxCenterScale``.
        use_udp: As of ``ClipAffine``.
    """

    input_size: tuple[int, int] = (192, 256)
    padding: float = 1.25
    use_udp: bool = False

    def cut(self, frames: list[np.ndarray], bbox: np.ndarray) -> PersonClip:
        """Cut a clip; arguments as of :meth:`PersonCutter.cut`."""
        height, width = frames[0].shape[:2]
        unique = {id(frame): frame for frame in frames}
        results = dict(
            img=list(unique.values()),
            img_shape=(height, width),
            bbox=np.asarray(bbox, np.float32).reshape(1, 4),
        )
        results = GetBBoxCenterScale(self.padding).transform(results)
        results = ClipAffine(self.input_size, self.use_udp).transform(results)
        images = dict(zip(unique, results['img'], strict=True))
        to_frame = invert(results['warp_mat'])
        view = SourceView.of_cut((width, height), tuple(self.input_size), to_frame)
        return PersonClip([images[id(frame)] for frame in frames], view)
