"""The part of a frame that a sample's images show, and at which scale."""

from __future__ import annotations

import dataclasses

import numpy as np

from .geometry import apply_matrix, compose, invert

__all__ = ['SourceView']


@dataclasses.dataclass(frozen=True)
class SourceView:
    """Images that show a cut of the frame, perhaps resized: those of a person-clip cache.

    Boxes and keypoints of such a sample stay in pixels of the frame, so that labels and results
    need no mapping; only the warp has to know.

    Attributes:
        frame_size: (w, h) of the frame.
        image_size: (w, h) of the images.
        to_frame: (2, 3) float64, image pixels to frame pixels; no rotation.
        inside: (x1, y1, x2, y2), first and last pixel centres of the images that show the frame.
    """

    frame_size: tuple[int, int]
    image_size: tuple[int, int]
    to_frame: np.ndarray
    inside: tuple[float, float, float, float]

    @classmethod
    def of_frame(cls, shape: tuple[int, int]) -> SourceView:
        """The view of images that are the frames themselves, of shape (h, w)."""
        height, width = shape[:2]
        size = (int(width), int(height))
        return cls(size, size, np.eye(2, 3), (0.0, 0.0, width - 1.0, height - 1.0))

    @classmethod
    def of_cut(
        cls, frame_size: tuple[int, int], image_size: tuple[int, int], to_frame: np.ndarray
    ) -> SourceView:
        """The view of cuts that may reach over the frame's border."""
        corners = np.array([[0.0, 0.0], [frame_size[0] - 1.0, frame_size[1] - 1.0]])
        (x1, y1), (x2, y2) = apply_matrix(invert(to_frame), corners)
        width, height = image_size
        inside = (max(x1, 0.0), max(y1, 0.0), min(x2, width - 1.0), min(y2, height - 1.0))
        return cls(tuple(frame_size), tuple(image_size), to_frame, inside)

    def flipped(self, direction: str) -> SourceView:
        """The view after the images and, as MMPose does, the coordinates of the frame are flipped.

        Args:
            direction: ``'horizontal'``, ``'vertical'`` or ``'diagonal'``.
        """
        axes = {'horizontal': (0,), 'vertical': (1,), 'diagonal': (0, 1)}[direction]
        flip_frame, flip_image = np.eye(2, 3), np.eye(2, 3)
        inside = list(self.inside)
        for axis in axes:
            flip_frame[axis, axis] = flip_image[axis, axis] = -1
            flip_frame[axis, 2] = self.frame_size[axis] - 1
            flip_image[axis, 2] = last = self.image_size[axis] - 1
            inside[axis], inside[axis + 2] = last - inside[axis + 2], last - inside[axis]
        to_frame = compose(flip_frame, compose(self.to_frame, flip_image))
        return dataclasses.replace(self, to_frame=to_frame, inside=tuple(inside))
