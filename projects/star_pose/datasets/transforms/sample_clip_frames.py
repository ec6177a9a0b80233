"""Choose the frames of a clip around its target frame."""

from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS

from .random_source import fetch_rng

__all__ = ['SampleClipFrames']


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
        stride: Distance between the frames of the clip, in frames of the video; a pair is a range
            (both ends included) from which one stride is drawn in every fetch, for the whole clip.
        target: ``'centre'``: the target is at position ``T // 2``. ``'last'``: causal, the clip
            ends with the target.

    Raises:
        ValueError: An argument is out of range, or ``frame_index`` is outside the video.
    """

    def __init__(
        self, num_frames: int = 5, stride: int | tuple[int, int] = 1, target: str = 'centre'
    ) -> None:
        if num_frames < 1:
            raise ValueError(f'num_frames must be at least 1, got {num_frames}')
        if target not in ('centre', 'last'):
            raise ValueError(f"target must be 'centre' or 'last', got {target!r}")
        self.num_frames = num_frames
        self.stride = (stride, stride) if isinstance(stride, int) else tuple(stride)
        if len(self.stride) != 2 or not 1 <= self.stride[0] <= self.stride[1]:
            raise ValueError(f'stride must be >= 1 or an ascending pair of such, got {stride}')
        self.target = target
        self.target_idx = num_frames // 2 if target == 'centre' else num_frames - 1

    def transform(self, results: dict) -> dict:
        """Add ``frame_paths`` and ``target_idx``.

        Args:
            results: The sample.

        Returns:
            The sample.
        """
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
        low, high = self.stride
        stride = low if low == high else int(fetch_rng().integers(low, high + 1))
        offsets = (stride * (t - self.target_idx) for t in range(self.num_frames))
        last = len(frames) - 1
        results['frame_paths'] = [frames[min(max(index + o, 0), last)] for o in offsets]
        results['nframes'] = results.get('nframes', len(frames))
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_frames={self.num_frames}, stride={self.stride}, '
            f'target={self.target!r})'
        )
