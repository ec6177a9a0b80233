"""Write frames into a video file."""

from fractions import Fraction
from types import TracebackType

import av
import numpy as np

__all__ = ['VideoWriter', 'video_rate']


def video_rate(path: str) -> Fraction | None:
    """Frames a second of a video file, None where it does not say."""
    with av.open(path) as container:
        return container.streams.video[0].average_rate


class VideoWriter:
    """An H.264 file that every player opens; use it in a ``with`` statement.

    Args:
        path: The file; its ending decides the container, such as ``.mp4``.
        rate: Frames a second.
        crf: Quality of H.264, lower is better; 18 is visually lossless.

    Raises:
        ValueError: If the container is unknown, or frames differ in size.
    """

    def __init__(self, path: str, rate: float | Fraction = 25, crf: int = 18):
        self.path = str(path)
        try:
            self._container = av.open(self.path, 'w')
        except ValueError as error:
            raise ValueError(f'cannot write a video to {path}: {error}') from error
        self._stream = self._container.add_stream(
            'libx264', rate=Fraction(rate).limit_denominator(65535), options={'crf': str(crf)}
        )
        self._stream.pix_fmt = 'yuv420p'
        self._shape: tuple[int, ...] | None = None

    def write(self, image: np.ndarray) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 RGB; all of one size. Odd sizes are padded by repeating the last
                row or column, as 4:2:0 chroma asks for.
        """
        if self._shape is None:
            self._shape = image.shape
            self._stream.height, self._stream.width = (side + side % 2 for side in image.shape[:2])
        if image.shape != self._shape:
            raise ValueError(
                f'{self.path}: a frame of shape {image.shape} follows frames of {self._shape}'
            )
        padding = [(0, side % 2) for side in image.shape[:2]] + [(0, 0)]
        frame = av.VideoFrame.from_ndarray(np.pad(image, padding, mode='edge'), format='rgb24')
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file."""
        if self._shape is not None:
            self._container.mux(self._stream.encode())
        self._container.close()

    def __enter__(self) -> 'VideoWriter':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
