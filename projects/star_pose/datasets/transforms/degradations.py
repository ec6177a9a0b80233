"""What cameras and encoders do to a clip: blur, motion blur, low light, noise, JPEG, H.264.

Parameters are drawn once a clip and hold for all its frames; only noise differs between them.
"""

import abc
import fractions

import av
import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS

__all__ = [
    'ClipBlur',
    'ClipDegradation',
    'ClipH264',
    'ClipJPEG',
    'ClipLowLight',
    'ClipMotionBlur',
    'ClipNoise',
    'fetch_rng',
]

Range = float | tuple[float, float]


def fetch_rng(seed: int | None = None, sample_id: int = 0) -> np.random.Generator:
    """Start a generator for one transform of one fetched sample.

    MMPose's transforms draw from numpy's global generator, which mmengine seeds in every worker.
    One draw from the same generator seeds this one, so a run with the same seed and number of
    workers repeats exactly. That epochs differ, too, is the data sets' work
    (:class:`SkippingDataset`).

    Args:
        seed: None draws anew in every fetch. A number makes the draw depend on it and on
            ``sample_id`` alone, as a validation set needs that must be the same in every epoch.
        sample_id: Non-negative id of the sample; used with ``seed`` only.
    """
    if seed is not None:
        return np.random.default_rng([seed, sample_id])
    return np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002


class ClipDegradation(BaseTransform, abc.ABC):
    """Base of the degradations; a step of ``GenerateLRClip``, or a transform by itself.

    Required Keys:

    - img: list of T (H, W, 3) uint8

    Modified Keys:

    - img

    Args:
        prob: Probability with which a clip is degraded, in [0, 1].

    Raises:
        ValueError: This or another argument is out of range.
    """

    def __init__(self, prob: float = 1.0) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}')
        self.prob = prob

    @abc.abstractmethod
    def draw(self, rng: np.random.Generator) -> dict:
        """Draw the parameters of one clip."""

    @abc.abstractmethod
    def apply(
        self, frames: list[np.ndarray], rng: np.random.Generator, **parameters
    ) -> list[np.ndarray]:
        """Degrade all frames with the drawn parameters, into new arrays."""

    def degrade(
        self, frames: list[np.ndarray], rng: np.random.Generator
    ) -> tuple[list[np.ndarray], dict | None]:
        """Degrade a clip, or leave it.

        Args:
            frames: T images (H, W, 3) uint8.
            rng: Source of randomness.

        Returns:
            T images, and the parameters; None where the clip was left as it is.
        """
        if rng.random() >= self.prob:
            return frames, None
        parameters = self.draw(rng)
        return self.apply(frames, rng, **parameters), parameters

    def transform(self, results: dict) -> dict:
        results['img'], _ = self.degrade(results['img'], fetch_rng())
        return results

    def __repr__(self) -> str:
        values = ', '.join(f'{name}={value}' for name, value in vars(self).items())
        return f'{type(self).__name__}({values})'


@TRANSFORMS.register_module()
class ClipBlur(ClipDegradation):
    """Gaussian blur of the optics.

    Args:
        sigma: Standard deviation in pixels, a number or a range.
        prob: Probability of blurring a clip.
    """

    def __init__(self, sigma: Range = (0.2, 2.0), prob: float = 1.0) -> None:
        super().__init__(prob)
        self.sigma = _range('sigma', sigma, above=0)

    def draw(self, rng: np.random.Generator) -> dict:
        return dict(sigma=float(rng.uniform(*self.sigma)))

    def apply(self, frames, rng, sigma):
        return [cv2.GaussianBlur(f, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) for f in frames]


@TRANSFORMS.register_module()
class ClipMotionBlur(ClipDegradation):
    """Blur along a straight line: a camera that moves while the shutter is open.

    Args:
        length: Length of the line in pixels, a number or a range.
        prob: Probability of blurring a clip.
    """

    def __init__(self, length: Range = (2.0, 12.0), prob: float = 1.0) -> None:
        super().__init__(prob)
        self.length = _range('length', length, above=0)

    def draw(self, rng: np.random.Generator) -> dict:
        return dict(length=float(rng.uniform(*self.length)), angle=float(rng.uniform(0, 180)))

    def apply(self, frames, rng, length, angle):
        kernel = _line_kernel(length, angle)
        return [cv2.filter2D(f, -1, kernel, borderType=cv2.BORDER_REFLECT) for f in frames]


@TRANSFORMS.register_module()
class ClipNoise(ClipDegradation):
    """Sensor noise, independent between frames: variance = sigma^2 + shot * value.

    Args:
        sigma: Standard deviation of the read noise in grey levels (0 to 255), number or range.
        shot: Shot noise: variance per grey level, number or range.
        grey_prob: Probability that all channels get the same noise, in [0, 1].
        prob: Probability of adding noise to a clip.
    """

    def __init__(
        self,
        sigma: Range = (0.0, 8.0),
        shot: Range = 0.0,
        grey_prob: float = 0.3,
        prob: float = 1.0,
    ) -> None:
        super().__init__(prob)
        self.sigma = _range('sigma', sigma)
        self.shot = _range('shot', shot)
        self.grey_prob = _range('grey_prob', grey_prob, high=1)[1]

    def draw(self, rng: np.random.Generator) -> dict:
        return dict(
            sigma=float(rng.uniform(*self.sigma)),
            shot=float(rng.uniform(*self.shot)),
            grey=bool(rng.random() < self.grey_prob),
        )

    def apply(self, frames, rng, sigma, shot, grey):
        return [_add_noise(frame.astype(np.float32), rng, sigma, shot, grey) for frame in frames]


@TRANSFORMS.register_module()
class ClipLowLight(ClipDegradation):
    """A scene with too little light: darker, with less contrast in the shadows, and noisy.

    A grey value v in [0, 1] becomes gain v^gamma; then noise is added as by :class:`ClipNoise`,
    which is large beside what is left of the signal.

    Args:
        gain: Factor on the light in (0, 1], a number or a range.
        gamma: Exponent of at least 1, a number or a range.
        sigma: Read noise, as of :class:`ClipNoise`.
        shot: Shot noise, as of :class:`ClipNoise`.
        prob: Probability of darkening a clip.
    """

    def __init__(
        self,
        gain: Range = (0.15, 0.7),
        gamma: Range = (1.0, 1.8),
        sigma: Range = (1.0, 6.0),
        shot: Range = (0.0, 0.5),
        prob: float = 1.0,
    ) -> None:
        super().__init__(prob)
        self.gain = _range('gain', gain, above=0, high=1)
        self.gamma = _range('gamma', gamma, low=1)
        self.sigma = _range('sigma', sigma)
        self.shot = _range('shot', shot)

    def draw(self, rng: np.random.Generator) -> dict:
        ranges = dict(gain=self.gain, gamma=self.gamma, sigma=self.sigma, shot=self.shot)
        return {name: float(rng.uniform(*pair)) for name, pair in ranges.items()}

    def apply(self, frames, rng, gain, gamma, sigma, shot):
        curve = (255 * gain * np.linspace(0, 1, 256) ** gamma).astype(np.float32)
        return [_add_noise(curve[frame], rng, sigma, shot, grey=False) for frame in frames]


def _add_noise(
    values: np.ndarray, rng: np.random.Generator, sigma: float, shot: float, grey: bool
) -> np.ndarray:
    """Add noise of variance sigma^2 + shot * value to (H, W, 3) float32; the result is uint8."""
    shape = (*values.shape[:2], 1) if grey else values.shape
    deviation = np.sqrt(sigma**2 + shot * values) if shot else np.float32(sigma)
    values = values + deviation * rng.standard_normal(shape, dtype=np.float32)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@TRANSFORMS.register_module()
class ClipJPEG(ClipDegradation):
    """JPEG coding of every frame.

    Args:
        quality: libjpeg's quality in [1, 100], a number or a range.
        prob: Probability of coding a clip.
    """

    def __init__(self, quality: Range = (30, 95), prob: float = 1.0) -> None:
        super().__init__(prob)
        self.quality = _range('quality', quality, low=1, high=100)

    def draw(self, rng: np.random.Generator) -> dict:
        return dict(quality=round(rng.uniform(*self.quality)))

    def apply(self, frames, rng, quality):
        flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
        return [cv2.imdecode(cv2.imencode('.jpg', f, flags)[1], cv2.IMREAD_COLOR) for f in frames]


@TRANSFORMS.register_module()
class ClipH264(ClipDegradation):
    """H.264 coding of the clip as one video, by x264.

    The first frame becomes a key frame, the others are predicted, so errors run along the clip as
    they do in a stream. Chroma is coded at half the resolution (4:2:0).

    Args:
        crf: x264's constant rate factor in [0, 51], larger is worse; a number or a range.
        prob: Probability of coding a clip.

    Raises:
        ValueError: PyAV was built without x264, or an argument is out of range.
    """

    def __init__(self, crf: Range = (18, 35), prob: float = 1.0) -> None:
        super().__init__(prob)
        if 'libx264' not in av.codecs_available:
            raise ValueError(
                "this PyAV has no encoder 'libx264'; install the wheel of PyPI: pip install av"
            )
        self.crf = _range('crf', crf, high=51)

    def draw(self, rng: np.random.Generator) -> dict:
        return dict(crf=round(float(rng.uniform(*self.crf)), 1))

    def apply(self, frames, rng, crf):
        height, width = frames[0].shape[:2]
        # 4:2:0 needs even sides
        pad = (0, height % 2, 0, width % 2)
        padded = [cv2.copyMakeBorder(f, *pad, cv2.BORDER_REPLICATE) for f in frames]
        packets = _encode_h264(padded, crf)
        decoder = av.CodecContext.create('h264', 'r')
        decoder.thread_count = 1
        decoded = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
        assert len(decoded) == len(frames), (len(decoded), len(frames))
        decoded.sort(key=lambda frame: frame.pts)
        return [f.to_ndarray(format='bgr24', threads=1)[:height, :width] for f in decoded]


def _encode_h264(frames: list[np.ndarray], crf: float) -> list[av.Packet]:
    encoder = av.CodecContext.create('libx264', 'w')
    encoder.height, encoder.width = frames[0].shape[:2]
    encoder.pix_fmt = 'yuv420p'
    encoder.time_base = fractions.Fraction(1, 25)
    encoder.framerate = fractions.Fraction(25)
    # One thread: loader workers fill the cores, and the bytes do not depend on their number
    encoder.thread_count = 1
    encoder.options = {'crf': str(crf), 'preset': 'veryfast'}
    packets = []
    for position, image in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format='bgr24')
        frame.pts = position
        packets += encoder.encode(frame)
    return packets + encoder.encode(None)


def _line_kernel(length: float, angle: float) -> np.ndarray:
    """A normalised, centred line of ``length`` pixels at ``angle`` degrees, as a kernel."""
    radius = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    direction = np.deg2rad(angle)
    along = np.linspace(-length / 2, length / 2, 8 * radius + 1)
    # Every point of the line is shared among the four pixels around it
    columns, rows = radius + along * np.cos(direction), radius + along * np.sin(direction)
    for x, y in zip(columns, rows, strict=True):
        column, row = int(np.floor(x)), int(np.floor(y))
        share_x, share_y = x - column, y - row
        kernel[row, column] += (1 - share_x) * (1 - share_y)
        kernel[row, column + 1] += share_x * (1 - share_y)
        kernel[row + 1, column] += (1 - share_x) * share_y
        kernel[row + 1, column + 1] += share_x * share_y
    return kernel / kernel.sum()


def _range(
    name: str, value: Range, low: float = 0, high: float = float('inf'), above: float | None = None
) -> tuple[float, float]:
    """Check a number or a pair and return it as (low, high)."""
    pair = (value, value) if isinstance(value, (int, float)) else tuple(value)
    valid = len(pair) == 2 and low <= pair[0] <= pair[1] <= high
    if not valid or (above is not None and pair[0] <= above):
        bound = f'above {above}' if above is not None else f'in [{low}, {high}]'
        raise ValueError(f'{name} must be a number or an ascending pair {bound}, got {value}')
    return pair
