"""Load the frames of a clip."""

import numpy as np
from mmpose.datasets.transforms import LoadImage
from mmpose.registry import TRANSFORMS

from ..clip_reader import ClipReader

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

    - img_shape, ori_shape: (h, w) of the target frame

    Args:
        cache_mb: Size of the decoded frames that are kept, in MiB a process.
        **kwargs: Arguments of MMPose's ``LoadImage``.

    Raises:
        ClipReadError: A frame cannot be read.
        ValueError: Given images are not T images, or frames differ in size.
    """

    def __init__(self, cache_mb: float = 256, **kwargs) -> None:
        super().__init__(**kwargs)
        self.cache_mb = cache_mb

    def transform(self, results: dict) -> dict:
        """Load the clip.

        Args:
            results: The sample.

        Returns:
            The sample.
        """
        given = results.get('img')
        frames = self._read(results) if given is None else self._take(given, results)
        if self.to_float32:
            frames = [frame.astype(np.float32) for frame in frames]
        target = frames[results.get('target_idx', 0)]
        sizes = {frame.shape[:2] for frame in frames}
        if len(sizes) > 1:
            raise ValueError(
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
