"""Load the frames of a clip."""

import logging

import numpy as np
from mmengine.logging import print_log
from mmpose.datasets.transforms import LoadImage
from mmpose.registry import TRANSFORMS

from ..cache.clip_cache import ClipCache
from ..cache.person_clip import clip_key
from ..errors import FrameSizeError
from ..frames.clip_reader import ClipReader, ClipReadError

__all__ = ['LoadClip']


@TRANSFORMS.register_module()
class LoadClip(LoadImage):
    """Load T frames from files, video files or given arrays.

    Frames come from the process's shared :class:`ClipReader`, so that frames which neighbouring
    samples share are decoded once; their arrays are read-only. Where ``img`` is given, as MMPose's
    inferencers do, nothing is read: a single image is repeated, a list or array of images is
    taken as the clip.

    Required Keys:

    - frame_paths: list of T str, see :class:`SampleClipFrames`
    - img (optional): (H, W, 3), (T, H, W, 3) or a list of T (H, W, 3), uint8 BGR

    Modified Keys:

    - img: list of T (H, W, 3) uint8 BGR

    Added Keys:

    - img_shape, ori_shape: (h, w) of the frames, also where the images are cuts of them
    - source_view: with a cache, where in the frame the images lie; ``ClipAffine`` reads it

    Args:
        cache_mb: Size of the decoded frames that are kept, in MiB a process.
        cache: A person-clip cache, made by ``tools/cache_clips.py``. Images are then cuts around
            the person instead of frames, while all coordinates stay those of the frame; only
            ``ClipAffine`` can warp them. A clip that the cache does not have is decoded.
        cache_miss: ``'decode'``, with one warning a process, or ``'raise'``.
        **kwargs: Arguments of MMPose's ``LoadImage``.

    Raises:
        ClipReadError: A frame cannot be read, or is missing in the cache with
            ``cache_miss='raise'``.
        FileNotFoundError: There is no such cache.
        FrameSizeError: Frames differ in size.
        ValueError: Given images are not T images.
    """

    def __init__(
        self,
        cache_mb: float = 256,
        cache: str | None = None,
        cache_miss: str = 'decode',
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if cache_miss not in ('decode', 'raise'):
            raise ValueError(f"cache_miss must be 'decode' or 'raise', got {cache_miss!r}")
        self.cache_mb = cache_mb
        self.cache = cache
        self.cache_miss = cache_miss
        self._warned = False

    def transform(self, results: dict) -> dict:
        """Load the clip.

        Args:
            results: The sample.

        Returns:
            The sample.
        """
        given = results.get('img')
        if self.cache is not None and given is None and self._read_cached(results):
            return results
        frames = self._read(results) if given is None else self._take(given, results)
        if self.to_float32:
            frames = [frame.astype(np.float32) for frame in frames]
        target = frames[results.get('target_idx', 0)]
        sizes = {frame.shape[:2] for frame in frames}
        if len(sizes) > 1:
            raise FrameSizeError(
                f'frames of one clip differ in size (h, w): {sorted(sizes)}, around '
                f'{results.get("img_path")}; one matrix must fit all of them'
            )
        results['img'] = frames
        results.setdefault('img_path', None)
        results['img_shape'] = target.shape[:2]
        results['ori_shape'] = target.shape[:2]
        return results

    def _read(self, results: dict) -> list[np.ndarray]:
        reader = ClipReader.shared(
            cache_mb=self.cache_mb,
            color_type=self.color_type,
            imdecode_backend=self.imdecode_backend,
            backend_args=self.backend_args,
        )
        return reader.read_clip(results.get('frame_paths') or [results['img_path']])

    def _read_cached(self, results: dict) -> bool:
        """Take the clip from the cache; False when it is not there."""
        clip = ClipCache.shared(self.cache).read(clip_key(results))
        if clip is None:
            self._report_miss(results)
            return False
        width, height = clip.view.frame_size
        results['img'] = clip.images
        results['source_view'] = clip.view
        results['img_shape'] = results['ori_shape'] = (height, width)
        return True

    def _report_miss(self, results: dict) -> None:
        text = (
            f'the clip around {results["img_path"]} is not in cache {self.cache}, which may be '
            'made for other frames or boxes, or incomplete: run tools/cache_clips.py again'
        )
        if self.cache_miss == 'raise':
            raise ClipReadError(text)
        if not self._warned:
            print_log(f'LoadClip: {text}. It is decoded instead.', 'current', logging.WARNING)
            self._warned = True

    def _take(self, images: np.ndarray | list[np.ndarray], results: dict) -> list[np.ndarray]:
        """Make a clip of given images."""
        num_frames = len(results.get('frame_paths') or [None])
        if isinstance(images, np.ndarray) and images.ndim == 3:
            return [images] * num_frames
        frames = list(images)
        if 'frame_paths' in results and len(frames) != num_frames:
            raise ValueError(
                f'{len(frames)} images are given for a clip of {num_frames} frames; give one image '
                'or as many as SampleClipFrames has num_frames'
            )
        if not frames or any(getattr(f, 'ndim', 0) != 3 or f.shape[2] != 3 for f in frames):
            shapes = [getattr(frame, 'shape', type(frame)) for frame in frames]
            raise ValueError(f'img must hold images of shape (H, W, 3), got {shapes}')
        return frames
