"""The two ends of a pipeline: choose and read the frames of a clip, and pack it for the model."""

import dataclasses
import logging

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from mmengine.structures import PixelData
from mmpose.datasets.transforms import LoadImage, PackPoseInputs
from mmpose.registry import TRANSFORMS

from ..cache.clip_cache import ClipCache
from ..cache.person_clip import clip_key
from ..errors import FrameSizeError
from ..frames.clip_reader import ClipReader, ClipReadError

__all__ = ['LoadClip', 'PackClipInputs', 'SampleClipFrames']

_CLIP_META_KEYS = (
    'id', 'img_id', 'img_path', 'category_id', 'crowd_index', 'ori_shape', 'img_shape',
    'input_size', 'input_center', 'input_scale', 'flip', 'flip_direction', 'flip_indices',
    'raw_ann_info', 'dataset_name', 'target_idx', 'frame_paths', 'nframes', 'skeleton_links',
    'degradation', 'vid_id', 'track_id', 'frame_id', 'head_box',
)  # fmt: skip


@TRANSFORMS.register_module()
class SampleClipFrames(BaseTransform):
    """Choose T frames in time order; positions outside the video repeat its border frame.

    Required Keys:

    - img_path
    - video_frames (optional): list of str, all frames of the video in time order; a sample
      without it is a still, and the clip is the still T times
    - frame_index (with video_frames): position of the target in it

    Added Keys:

    - frame_paths: list of T str, in time order
    - target_idx: position of the target in it
    - nframes (with video_frames): length of the video

    Args:
        num_frames: T, at least 1.
        target: ``'centre'``: the target is at position ``T // 2``. ``'last'``: causal, the clip
            ends with the target.

    Raises:
        ValueError: An argument is out of range, or ``frame_index`` is outside the video.
    """

    def __init__(self, num_frames: int = 5, target: str = 'centre') -> None:
        if num_frames < 1:
            raise ValueError(f'num_frames must be at least 1, got {num_frames}')
        if target not in ('centre', 'last'):
            raise ValueError(f"target must be 'centre' or 'last', got {target!r}")
        self.num_frames = num_frames
        self.target = target
        self.target_idx = num_frames // 2 if target == 'centre' else num_frames - 1

    def transform(self, results: dict) -> dict:
        results['target_idx'] = self.target_idx
        frames = results.get('video_frames')
        if frames is None:
            results['frame_paths'] = [results.get('img_path')] * self.num_frames
            return results
        index = results['frame_index']
        if not 0 <= index < len(frames):
            raise ValueError(
                f'frame_index {index} of {results["img_path"]} is outside its video of '
                f'{len(frames)} frames'
            )
        offsets = (t - self.target_idx for t in range(self.num_frames))
        last = len(frames) - 1
        results['frame_paths'] = [frames[min(max(index + o, 0), last)] for o in offsets]
        results['nframes'] = results.get('nframes', len(frames))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_frames={self.num_frames}, target={self.target!r})'


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
        DataNotFoundError: There is no such cache.
        FrameSizeError: Frames differ in size.
        ValueError: Given images are not T images, ``cache_miss`` is unknown, or the cache was made
            by another way of reading.
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
        given = results.get('img')
        frames = None
        if self.cache is not None and given is None:
            frames = self._read_cached(results)
        cached = frames is not None
        if not cached:
            frames = self._read(results) if given is None else self._take(given, results)
        if self.to_float32:
            frames = [frame.astype(np.float32) for frame in frames]
        results['img'] = frames
        if cached:
            return results
        target = frames[results.get('target_idx', 0)]
        sizes = {frame.shape[:2] for frame in frames}
        if len(sizes) > 1:
            raise FrameSizeError(
                f'frames of one clip differ in size (h, w): {sorted(sizes)}, around '
                f'{results.get("img_path")}; one matrix must fit all of them'
            )
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

    def reading(self) -> dict:
        """What the pixels of a frame depend on beside its file."""
        return dict(color_type=self.color_type, imdecode_backend=self.imdecode_backend)

    def _read_cached(self, results: dict) -> list[np.ndarray] | None:
        """Take the clip from the cache; None when it is not there."""
        cache = ClipCache.shared(self.cache)
        for name, value in self.reading().items():
            if cache.meta.get(name, value) != value:
                raise ValueError(
                    f'person-clip cache {self.cache} was made with {name}={cache.meta[name]!r}, '
                    f'LoadClip has {value!r}: make it again with tools/cache_clips.py'
                )
        clip = cache.read(clip_key(results))
        if clip is None:
            self._report_miss(results)
            return None
        width, height = clip.view.frame_size
        made_for = cache.meta.get('input_size')
        results['source_view'] = dataclasses.replace(
            clip.view, made_for=None if made_for is None else tuple(made_for)
        )
        results['img_shape'] = results['ori_shape'] = (height, width)
        return clip.images

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


@TRANSFORMS.register_module()
class PackClipInputs(PackPoseInputs):
    """MMPose's ``PackPoseInputs`` for clips, with the super-resolution target.

    Required Keys:

    - img: list of T (h, w, 3) uint8
    - gt_img: (H, W, 3) uint8 (optional)
    - gt_mask: (H, W) uint8 (optional)
    - those of ``PackPoseInputs``

    Packed:

    - inputs: (T, 3, h, w) uint8
    - data_samples: as of ``PackPoseInputs``, with the keypoints in pixels of the high-resolution
      crop as ``gt_instances.transformed_keypoints``, (1, K, 2) float32, and with ``gt_sr``, a
      ``PixelData`` of ``img`` (3, H, W) uint8 BGR and ``mask`` (1, H, W) uint8, where there is a
      high-resolution target. (``gt_fields`` cannot hold it: one ``PixelData`` has one size, and
      the codec's own mapping table decides what goes there.)

    Args:
        meta_keys: Keys that go to the meta information, where present.
        pack_transformed: Whether to pack the keypoints in crop pixels, which the pose-aware loss
            needs.
    """

    def __init__(
        self, meta_keys: tuple[str, ...] = _CLIP_META_KEYS, pack_transformed: bool = True
    ) -> None:
        super().__init__(meta_keys=meta_keys, pack_transformed=pack_transformed)

    def transform(self, results: dict) -> dict:
        keypoints = results.get('transformed_keypoints')
        if keypoints is not None:
            # Without keypoints TopdownAffine leaves an array of no dimension, which cannot be
            # packed, and a (1, 1, 1) visibility of nothing
            results = {k: v for k, v in results.items() if k != 'transformed_keypoints'}
            if keypoints.ndim == 3:
                results['transformed_keypoints'] = keypoints[..., :2].astype(np.float32)
        dataset = results.get('dataset')
        if dataset is not None and 'skeleton_links' in dataset.metainfo:
            # MMPose's CombinedDataset leaves the links of the part's own joints in the sample,
            # although KeypointConverter has changed the joints
            results = {**results, 'skeleton_links': dataset.metainfo['skeleton_links']}
        packed = super().transform(results)
        if results.get('gt_img') is not None:
            fields = dict(img=torch.from_numpy(_channels_first(results['gt_img'])))
            if results.get('gt_mask') is not None:
                fields['mask'] = torch.from_numpy(_channels_first(results['gt_mask'][..., None]))
            packed['data_samples'].gt_sr = PixelData(**fields)
        return packed


def _channels_first(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image.transpose(2, 0, 1))  # H W C -> C H W
