"""Pictures of what STAR-Pose sees and says: LR clip, SR frame, ground truth and prediction."""

import contextlib
from collections.abc import Sequence

import cv2
import mmcv
import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.structures import InstanceData
from mmpose.registry import VISUALIZERS
from mmpose.structures import PoseDataSample
from mmpose.visualization import PoseLocalVisualizer

from ..evaluation.sr_quality_metric import image_to_crop
from .canvas import (
    clip_to_rgb,
    frame_tile,
    hr_to_rgb,
    put_text,
    resize_nearest,
    sr_to_rgb,
    stack_columns,
    stack_row,
    text_size,
    titled,
)

__all__ = ['ClipVisualizer']

_TARGET_COLOUR = (214, 39, 40)
# Hues that stay apart for colour-blind readers (Okabe and Ito, without the yellow, on which a white
# id cannot be read); repeated for more tracks.
_UNTRACKED_COLOUR = (150, 150, 150)
_TRACK_COLOURS = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (213, 94, 0),
    (86, 180, 233),
    (204, 121, 167),
)
# Skeletons are drawn at this multiple of the tile and area-averaged down: the stock routines know
# no anti-aliasing.
_SUPERSAMPLE = 2


@VISUALIZERS.register_module()
class ClipVisualizer(PoseLocalVisualizer):
    """MMPose's local visualizer, which also draws clips.

    ``add_datasample`` is the stock one, so that ``PoseVisualizationHook`` works unchanged.
    ``draw_clip`` draws the panel

        LR target | SR | ground truth | prediction
        the LR clip, frame by frame, the target framed

    from an *unmerged* data sample: ``merge_data_samples`` drops the SR frames.

    Args:
        name: Of the instance; MMEngine keeps visualizers by name.
        tile_height: Height in pixels of each of the panel's tiles; the width follows from the
            crop's aspect ratio.
        strip_height: Height in pixels of a frame of the clip strip.
        line_width: Of limbs and boxes, in pixels of the final picture.
        **kwargs: Of :class:`PoseLocalVisualizer`.

    Raises:
        ValueError: If a height is below 16 pixels.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        tile_height: int = 384,
        strip_height: int = 128,
        line_width: int = 2,
        **kwargs,
    ):
        super().__init__(name, line_width=line_width, **kwargs)
        for key, value in (('tile_height', tile_height), ('strip_height', strip_height)):
            if value < 16:
                raise ValueError(
                    f'{key}={value} is too small to see anything; give at least 16 pixels'
                )
        self.tile_height = tile_height
        self.strip_height = strip_height

    def draw_clip(
        self,
        inputs: torch.Tensor,
        data_sample: PoseDataSample,
        kpt_thr: float = 0.3,
    ) -> np.ndarray:
        """Draw the panel of one person in one clip.

        Tiles without data are left out: no SR frame without ``test_cfg.output_sr``, no ground truth
        in a demo. Both skeletons are drawn over the sharpest picture there is: the HR target, else
        the SR frame, else the LR frame.

        Args:
            inputs: (T, 3, h, w) or (3, h, w) uint8 BGR, as packed.
            data_sample: With ``input_center/scale/size``; ``target_idx`` (the middle of the clip
                without it), ``gt_instances``, ``gt_sr``, ``pred_instances`` and ``pred_sr`` are
                drawn when there.
            kpt_thr: Joints with a lower score are not drawn.

        Returns:
            (H, W, 3) RGB uint8.

        Raises:
            ValueError: If ``inputs`` is not a uint8 clip, or the HR frame's normalisation is
                unknown.
        """
        frames = clip_to_rgb(inputs)
        target = int(data_sample.metainfo.get('target_idx', len(frames) // 2))
        h, w = frames[target].shape[:2]
        sr = sr_to_rgb(data_sample)
        hr = hr_to_rgb(data_sample)
        backdrop = next(picture for picture in (hr, sr, frames[target]) if picture is not None)

        tiles = [(f'LR target {h}x{w}', self._tile(frames[target]))]
        if sr is not None:
            tiles.append((f'SR {sr.shape[0]}x{sr.shape[1]}', self._tile(sr)))
        if 'keypoints' in data_sample.get('gt_instances', {}):
            tiles.append(
                ('Ground truth', self._pose_tile(backdrop, data_sample, 'gt_instances', 0.5))
            )
        if 'keypoints' in data_sample.get('pred_instances', {}):
            tiles.append(
                ('Prediction', self._pose_tile(backdrop, data_sample, 'pred_instances', kpt_thr))
            )
        rows = [stack_row([titled(tile, title) for title, tile in tiles])]
        if len(frames) > 1:
            rows.append(self.draw_strip(frames, target))
        return stack_columns(rows)

    def draw_strip(self, frames: Sequence[np.ndarray], target: int) -> np.ndarray:
        """Draw the frames of a clip in time order, each titled with its distance to the target.

        Args:
            frames: T images (h, w, 3) RGB uint8.
            target: Index of the target frame, which gets a coloured border.

        Returns:
            (H, W, 3) RGB uint8.
        """
        h, w = frames[0].shape[:2]
        size = (max(1, round(self.strip_height * w / h)), self.strip_height)
        tiles = []
        for index, frame in enumerate(frames):
            tile = resize_nearest(frame, size)
            if index == target:
                tile = frame_tile(tile, _TARGET_COLOUR)
            title = 't' if index == target else f't{index - target:+d}'
            tiles.append(titled(tile, title, size=12))
        return stack_row(tiles, gap=4)

    def draw_tracks(
        self, image: np.ndarray, instances: InstanceData, kpt_thr: float = 0.3
    ) -> np.ndarray:
        """Draw the people of a frame: skeleton, box in the colour of the track, id.

        Args:
            image: (H, W, 3) RGB uint8.
            instances: ``keypoints`` (N, K, 2), ``keypoint_scores`` (N, K), ``bboxes`` (N, 4) as x1
                y1 x2 y2, and ``track_ids`` (N,) where there are any; -1 means untracked, drawn
                in grey.
            kpt_thr: Joints with a lower score are not drawn.

        Returns:
            (H, W, 3) RGB uint8.
        """
        drawn = self._draw_poses(image, instances.keypoints, instances.keypoint_scores, kpt_thr)
        for index, box in enumerate(np.rint(instances.bboxes).astype(int)):
            track = int(instances.track_ids[index]) if 'track_ids' in instances else -1
            colour = (
                _TRACK_COLOURS[track % len(_TRACK_COLOURS)] if track >= 0 else _UNTRACKED_COLOUR
            )
            drawn = cv2.rectangle(
                drawn, box[:2].tolist(), box[2:].tolist(), colour, self.line_width
            )
            if track >= 0:
                drawn = _tag(drawn, str(track), box[:2], colour)
        return drawn

    @master_only
    def add_clip(
        self,
        name: str,
        inputs: torch.Tensor,
        data_sample: PoseDataSample,
        kpt_thr: float = 0.3,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
    ) -> np.ndarray:
        """Draw the panel of :meth:`draw_clip` and hand it to a window, a file or the backends.

        Args:
            name: Identifier of the picture, and the window's title.
            inputs: As for :meth:`draw_clip`, like ``data_sample`` and ``kpt_thr``.
            data_sample: See above.
            kpt_thr: See above.
            show: Open a window.
            wait_time: Seconds that the window stays; 0 waits for a key.
            out_file: Path of a picture file; the backends then get nothing.
            step: Global step for the backends.

        Returns:
            The panel, (H, W, 3) RGB uint8.
        """
        panel = self.draw_clip(inputs, data_sample, kpt_thr)
        self.set_image(panel)
        if show:
            self.show(panel, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(panel[..., ::-1], str(out_file))
        else:
            self.add_image(name, panel, step)
        return panel

    def _tile(self, image: np.ndarray, supersample: int = 1) -> np.ndarray:
        height = self.tile_height * supersample
        return resize_nearest(image, (round(height * image.shape[1] / image.shape[0]), height))

    def _pose_tile(
        self, backdrop: np.ndarray, sample: PoseDataSample, field: str, kpt_thr: float
    ) -> np.ndarray:
        """One tile with the skeletons of ``sample.<field>`` over the backdrop."""
        instances = sample.get(field)
        if 'transformed_keypoints' in instances:
            keypoints = np.asarray(instances.transformed_keypoints)
        else:
            keypoints = image_to_crop(np.asarray(instances.keypoints), sample.metainfo)
        scores = instances.get('keypoint_scores', instances.get('keypoints_visible'))
        if scores is None:
            scores = np.ones(keypoints.shape[:2])
        scores = np.asarray(scores).reshape(*keypoints.shape[:2], -1)[..., 0]  # -> (N, K)
        canvas = self._tile(backdrop, _SUPERSAMPLE)
        zoom = canvas.shape[0] / sample.metainfo['input_size'][1]
        links = sample.metainfo.get('skeleton_links')
        drawn = self._draw_poses(
            canvas, (keypoints + 0.5) * zoom - 0.5, scores, kpt_thr, links, _SUPERSAMPLE
        )
        size = (canvas.shape[1] // _SUPERSAMPLE, canvas.shape[0] // _SUPERSAMPLE)
        return cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)

    def _draw_poses(
        self,
        canvas: np.ndarray,
        keypoints: np.ndarray,
        scores: np.ndarray,
        kpt_thr: float,
        links: Sequence[tuple[int, int]] | None = None,
        zoom: int = 1,
    ) -> np.ndarray:
        """The stock skeletons, lines and points ``zoom`` times as thick.

        ``links`` serves where no data set's metainfo has been set.
        """
        people = InstanceData(keypoints=keypoints, keypoints_visible=scores)
        style = dict(line_width=self.line_width * zoom, radius=self.radius * zoom)
        if self.skeleton is None and links is not None:
            style.update(skeleton=links, link_color='green')
        with _styled(self, **style):
            return self._draw_instances_kpts(np.ascontiguousarray(canvas), people, kpt_thr)


@contextlib.contextmanager
def _styled(visualizer: PoseLocalVisualizer, **style):
    """Set attributes that the stock drawing reads, and restore them."""
    before = {name: getattr(visualizer, name) for name in style}
    try:
        for name, value in style.items():
            setattr(visualizer, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(visualizer, name, value)


def _tag(image: np.ndarray, text: str, corner: np.ndarray, colour: Sequence[int]) -> np.ndarray:
    """A filled label that stands on the box's upper left corner, inside the image."""
    w, h = text_size(text, 14)
    x = int(np.clip(corner[0], 0, max(0, image.shape[1] - w - 6)))
    y = int(np.clip(corner[1] - h, 0, max(0, image.shape[0] - h)))
    image = cv2.rectangle(image, (x, y), (x + w + 6, y + h), colour, cv2.FILLED)
    return put_text(image, text, (x + 3, y), 14, (255, 255, 255))
