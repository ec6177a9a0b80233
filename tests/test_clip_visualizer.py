"""The pictures of clips: where pixels and joints land, and what is left out."""

from types import SimpleNamespace

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from mmengine.visualization import Visualizer
from mmpose.engine.hooks import PoseVisualizationHook
from mmpose.registry import HOOKS, VISUALIZERS
from mmpose.structures import PoseDataSample, merge_data_samples

from star_pose.evaluation.sr_quality_metric import image_to_crop
from star_pose.visualization import ClipVisualizer, draw_fusion_weights
from star_pose.visualization.canvas import hr_to_rgb

CENTRE, SCALE, SIZE = np.array([100.0, 80.0]), np.array([96.0, 128.0]), (192, 256)
MARGIN, TITLE, TILE_W, TILE_H = 10, 20, 288, 384


def make_clip(num_frames=5):
    """Frame t is uniformly (b, g, r) = (10 t, 100, 200)."""
    clip = torch.empty(num_frames, 3, 64, 48, dtype=torch.uint8)
    for index, frame in enumerate(clip):
        frame[:] = torch.tensor([10 * index, 100, 200]).view(3, 1, 1)
    return clip


def make_sample(**metainfo):
    sample = PoseDataSample(
        metainfo=dict(
            input_center=CENTRE, input_scale=SCALE, input_size=SIZE, target_idx=2, **metainfo
        )
    )
    sample.gt_instances = InstanceData(
        keypoints=np.array([[[100.0, 80.0], [110.0, 100.0]]]),
        keypoints_visible=np.ones((1, 2)),
        bboxes=np.array([[60.0, 20.0, 140.0, 140.0]]),
    )
    return sample


def add_prediction(sample, keypoints, scores):
    sample.pred_instances = InstanceData(
        keypoints=np.array([keypoints], float),
        keypoint_scores=np.array([scores], float),
        keypoints_visible=np.array([scores], float),
        bboxes=sample.gt_instances.bboxes,
    )
    return sample


@pytest.fixture
def visualizer():
    return ClipVisualizer()


def tile(panel, column):
    top, left = MARGIN + TITLE, MARGIN + column * (TILE_W + 8)
    # The title's height depends on the font's metrics: find the tile's first row by its left edge.
    column_pixels = panel[:, left + 1]
    top = int(np.argmax((column_pixels != 250).any(-1)))
    return panel[top : top + TILE_H, left : left + TILE_W]


def centroid(image, colour):
    rows, columns = np.nonzero((np.abs(image.astype(int) - colour) < 60).all(-1))
    return columns.mean(), rows.mean()


def test_image_to_crop_undoes_the_estimators_mapping():
    crop = np.random.default_rng(0).uniform(0, 190, (2, 17, 2))
    image = crop / SIZE * SCALE + CENTRE - 0.5 * SCALE
    metainfo = dict(input_center=CENTRE, input_scale=SCALE, input_size=SIZE)
    assert np.allclose(image_to_crop(image, metainfo), crop, atol=1e-9)


def test_lr_tile_shows_the_target_frame_in_rgb_with_square_pixels(visualizer):
    clip = make_clip()
    clip[2, :, 10, 20] = 0
    lr = tile(visualizer.draw_clip(clip, make_sample()), 0)
    assert lr.shape == (TILE_H, TILE_W, 3)
    assert (lr[60:66, 120:126] == 0).all(), 'LR pixel (20, 10) covers 6 x 6 panel pixels'
    lr[60:66, 120:126] = (200, 100, 20)
    assert (lr == (200, 100, 20)).all()


def test_joints_land_on_their_pixel(visualizer):
    visualizer.kpt_color = 'red'
    sample = make_sample()
    sample.gt_instances.keypoints = np.array([[[100.0, 80.0], [124.0, 112.0]]])
    sample.gt_instances.keypoints_visible = np.array([[0.0, 1.0]])
    sample.gt_sr = PixelData(img=torch.zeros(3, 256, 192, dtype=torch.uint8))
    drawn = tile(visualizer.draw_clip(make_clip(), sample), 1)
    # (124 - 100 + 48) / 96 * 192 = 144 and (112 - 80 + 64) / 128 * 256 = 192; tiles are 1.5 x the
    # crop.
    expected = (np.array([144, 192]) + 0.5) * 1.5 - 0.5
    assert np.abs(np.subtract(centroid(drawn, (255, 0, 0)), expected)).max() < 0.2


def test_transformed_keypoints_win_over_the_source_images(visualizer):
    visualizer.kpt_color = 'red'
    sample = make_sample()
    sample.gt_instances.transformed_keypoints = np.array([[[30.0, 40.0], [30.0, 40.0]]])
    sample.gt_sr = PixelData(img=torch.zeros(3, 256, 192, dtype=torch.uint8))
    drawn = tile(visualizer.draw_clip(make_clip(), sample), 1)
    assert np.abs(np.subtract(centroid(drawn, (255, 0, 0)), (45.25, 60.25))).max() < 0.2


def test_predictions_below_the_threshold_are_not_drawn(visualizer):
    visualizer.kpt_color = 'red'
    sample = add_prediction(make_sample(), [[100, 80], [110, 100]], [0.9, 0.2])
    del sample.gt_instances
    black = make_clip() * 0
    both = tile(visualizer.draw_clip(black, sample, kpt_thr=0.1), 1)
    one = tile(visualizer.draw_clip(black, sample, kpt_thr=0.3), 1)
    assert one.any()
    assert np.isclose((both > 0).sum() / (one > 0).sum(), 2, atol=0.2)


def test_panel_has_a_tile_for_each_thing_there_is(visualizer):
    clip, sample = make_clip(), make_sample()

    def width():
        return visualizer.draw_clip(clip, sample).shape[1]

    assert width() == 2 * MARGIN + 2 * TILE_W + 8
    add_prediction(sample, [[100, 80], [110, 100]], [1, 1])
    assert width() == 2 * MARGIN + 3 * TILE_W + 2 * 8
    sample.pred_sr = PixelData(img=torch.full((3, 256, 192), 127.4))
    assert width() == 2 * MARGIN + 4 * TILE_W + 3 * 8
    assert (tile(visualizer.draw_clip(clip, sample), 1) == 127).all()


def test_strip_shows_every_frame_in_order_and_frames_the_target(visualizer):
    frames = [np.full((64, 48, 3), 20 * index, np.uint8) for index in range(5)]
    strip = visualizer.draw_strip(frames, 2)
    row = strip[-64]
    assert [int(row[index * 100 + 48, 0]) for index in range(5)] == [0, 20, 40, 60, 80]
    assert row[200].tolist() == [214, 39, 40]
    assert row[100].tolist() == [20, 20, 20]


def test_a_still_is_drawn_without_a_strip(visualizer):
    still, sample = make_clip()[0], make_sample()
    sample.set_metainfo(dict(target_idx=0))
    assert visualizer.draw_clip(still, sample).shape[0] < TILE_H + 60


def test_normalised_target_is_turned_back():
    image = torch.arange(3 * 4 * 5, dtype=torch.uint8).reshape(3, 4, 5) * 4
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    norm = dict(mean=tuple(mean.tolist()), std=tuple(std.tolist()))
    sample = PoseDataSample(metainfo=dict(img_norm_cfg=norm))
    normalised = (image.flip(0).float() - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    sample.gt_sr = PixelData(img=normalised)
    assert np.array_equal(hr_to_rgb(sample), image.flip(0).permute(1, 2, 0).numpy())
    sample = PoseDataSample()
    sample.gt_sr = PixelData(img=normalised)
    with pytest.raises(ValueError, match='img_norm_cfg'):
        hr_to_rgb(sample)


def test_normalised_or_batched_inputs_raise(visualizer):
    with pytest.raises(ValueError, match='before the data preprocessor'):
        visualizer.draw_clip(make_clip().float(), make_sample())
    with pytest.raises(ValueError, match=r'\(1, 5, 3, 64, 48\)'):
        visualizer.draw_clip(make_clip()[None], make_sample())
    with pytest.raises(ValueError, match='tile_height=4'):
        ClipVisualizer(tile_height=4)


def test_drawing_restores_the_style(visualizer):
    before = visualizer.skeleton, visualizer.link_color, visualizer.line_width, visualizer.radius
    visualizer.draw_clip(make_clip(), make_sample(skeleton_links=[(0, 1)]))
    after = visualizer.skeleton, visualizer.link_color, visualizer.line_width, visualizer.radius
    assert after == before


def test_skeleton_links_of_the_sample_serve_without_dataset_meta(visualizer):
    plain = visualizer.draw_clip(make_clip(), make_sample())
    linked = visualizer.draw_clip(make_clip(), make_sample(skeleton_links=[(0, 1)]))
    green = (np.abs(linked.astype(int) - (0, 255, 0)) < 60).all(-1)
    assert green.any()
    assert not (np.abs(plain.astype(int) - (0, 255, 0)) < 60).all(-1).any()


def test_fusion_weights_map_zero_to_dark_and_one_to_bright():
    half = torch.zeros(64, 48)
    half[:, 24:] = 1
    weights = torch.stack([half, 1 - half])
    per_channel = weights[:, None].expand(2, 8, 64, 48)
    picture = draw_fusion_weights(weights)
    assert np.array_equal(picture, draw_fusion_weights(per_channel))
    dark, bright = picture[200, MARGIN + 10], picture[200, MARGIN + TILE_W - 10]
    scale = cv2.applyColorMap(np.array([[0, 255]], np.uint8), cv2.COLORMAP_VIRIDIS)[0, :, ::-1]
    assert np.array_equal(np.stack([dark, bright]), scale)
    with pytest.raises(ValueError, match='names 2 entries'):
        draw_fusion_weights(torch.rand(3, 64, 48))


def test_tracks_are_boxed_in_a_colour_of_their_own(visualizer):
    people = InstanceData(
        keypoints=np.array([[[20.0, 40.0]], [[70.0, 40.0]], [[120.0, 40.0]]]),
        keypoint_scores=np.ones((3, 1)),
        bboxes=np.array([[x, 30.0, x + 40, 90.0] for x in (5.0, 55.0, 105.0)]),
        track_ids=np.array([0, 1, -1]),
    )
    image = np.zeros((100, 150, 3), np.uint8)
    drawn = visualizer.draw_tracks(image, people)
    assert not image.any(), 'the input image is left alone'
    left, right = drawn[60, 5], drawn[60, 55]
    assert left.any()
    assert right.any()
    assert left.tolist() != right.tolist()
    assert drawn[60, 105].tolist() == [150, 150, 150], 'an untracked person'
    assert (drawn[10:28, 105:] == 0).all(), 'has no id'
    assert drawn[10:28, 5:45].any()


def test_stock_hook_draws_a_merged_clip_sample(tmp_path):
    source = tmp_path / 'frame.png'
    cv2.imwrite(str(source), np.zeros((160, 200, 3), np.uint8))
    sample = make_sample(img_path=str(source), ori_shape=(160, 200))
    add_prediction(sample, [[100, 80], [110, 100]], [1, 1])
    merged = merge_data_samples([sample])
    assert merged.pred_instances.keypoints.shape == (1, 2, 2)
    ClipVisualizer.get_instance('stock_hook_test')
    hook = PoseVisualizationHook(enable=True, out_dir='drawn')
    runner = SimpleNamespace(
        work_dir=str(tmp_path), timestamp='run', test_evaluator=SimpleNamespace(dataset_meta={})
    )
    hook.after_test_iter(runner, 0, {}, [sample])
    drawn = mmcv.imread(str(tmp_path / 'run' / 'drawn' / 'frame_0.png'), channel_order='rgb')
    assert drawn[80, 100].tolist() == [255, 0, 0]


def test_clip_hook_writes_every_interval_th_panel(tmp_path):
    visualizer = VISUALIZERS.build(dict(type='ClipVisualizer', name='clip_hook_test'))
    Visualizer.get_instance('of_another_run')
    hook = HOOKS.build(
        dict(type='ClipVisualizationHook', enable=True, interval=2, out_dir='panels')
    )
    runner = SimpleNamespace(
        work_dir=str(tmp_path),
        timestamp='run',
        test_evaluator=SimpleNamespace(dataset_meta={}),
        visualizer=visualizer,
    )
    hook.before_run(runner)
    hook.before_test_epoch(runner)
    samples = [make_sample(img_path=f'video/{index:06d}.jpg') for index in range(3)]
    for start in (0, 3):
        hook.after_test_iter(runner, start, dict(inputs=[make_clip()] * 3), samples)
    names = sorted(path.name for path in (tmp_path / 'run' / 'panels').iterdir())
    assert names == ['000000_000000.png', '000002_000002.png', '000004_000001.png']


def test_clip_hook_refuses_a_visualizer_that_draws_no_clips():
    hook = HOOKS.build(dict(type='ClipVisualizationHook', enable=True))
    with pytest.raises(TypeError, match='needs a ClipVisualizer'):
        hook.before_run(SimpleNamespace(visualizer=Visualizer.get_instance('stock')))
