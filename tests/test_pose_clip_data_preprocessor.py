import copy

import pytest
import torch
from mmpose.models import PoseDataPreprocessor

from pose_batches import PREPROCESSOR, batch
from star_pose.models import PoseClipDataPreprocessor

ARGS = {key: value for key, value in PREPROCESSOR.items() if key != 'type'}


@pytest.fixture
def preprocessor():
    return PoseClipDataPreprocessor(**ARGS)


@pytest.mark.parametrize('divisor', [1, 32])
@pytest.mark.parametrize('collated', [True, False])
def test_images_come_out_bit_equal_to_the_stock_preprocessor(divisor, collated):
    data = batch(num_frames=0, with_hr=(False, False))
    if collated:
        data['inputs'] = torch.stack(data['inputs'])
    ours = PoseClipDataPreprocessor(**ARGS, pad_size_divisor=divisor)(copy.deepcopy(data))
    stock = PoseDataPreprocessor(**ARGS, pad_size_divisor=divisor)(copy.deepcopy(data))
    assert torch.equal(ours['inputs'], stock['inputs'])
    for key in ('batch_input_shape', 'pad_shape'):
        assert ours['data_samples'][0].metainfo[key] == stock['data_samples'][0].metainfo[key]


def test_every_frame_of_a_clip_equals_the_stock_result_of_that_image(preprocessor):
    data = batch(num=3, num_frames=5)
    result = preprocessor(copy.deepcopy(data))['inputs']
    assert result.shape == (3, 5, 3, 32, 24)
    for index in range(5):
        frames = {
            'inputs': [clip[index] for clip in data['inputs']],
            'data_samples': copy.deepcopy(data['data_samples']),
        }
        stock = PoseDataPreprocessor(**ARGS)(frames)['inputs']
        assert torch.equal(result[:, index], stock)


def test_a_stacked_batch_and_a_list_of_clips_give_the_same(preprocessor):
    data = batch(num_frames=4)
    stacked = {**data, 'inputs': torch.stack(data['inputs'])}
    listed = preprocessor(copy.deepcopy(data))['inputs']
    assert torch.equal(preprocessor(stacked)['inputs'], listed)


def test_a_single_mean_value_swaps_colours_not_frames():
    preprocessor = PoseClipDataPreprocessor(mean=[10.0], std=[2.0], bgr_to_rgb=True)
    data = batch(num_frames=5, with_hr=(False, False))
    result = preprocessor(copy.deepcopy(data))
    expected = (torch.stack(data['inputs']).flip(2).float() - 10) / 2
    assert torch.equal(result['inputs'], expected)
    assert result['data_samples'][0].img_norm_cfg == {'mean': (10.0,) * 3, 'std': (2.0,) * 3}


def test_clips_of_different_sizes_are_padded_at_the_right_and_bottom(preprocessor):
    data = batch(num_frames=2, with_hr=(False, False))
    data['inputs'][1] = data['inputs'][1][..., :20, :16]
    result = preprocessor(data)['inputs']
    assert result.shape == (2, 2, 3, 32, 24)
    assert (result[1, :, :, 20:] == 0).all()
    assert (result[1, :, :, :, 16:] == 0).all()
    assert (result[1, :, :, :20, :16] != 0).any()


@pytest.mark.parametrize('num_frames', [0, 3])
def test_the_high_resolution_target_is_normalised_like_an_input(preprocessor, num_frames):
    data = batch(num_frames=num_frames, with_hr=(True, False))
    image = data['data_samples'][0].gt_sr.img.clone()
    samples = preprocessor(data)['data_samples']
    stock = PoseDataPreprocessor(**ARGS)({'inputs': [image], 'data_samples': []})['inputs'][0]
    assert torch.equal(samples[0].gt_sr.img, stock)
    assert 'gt_sr' not in samples[1]


def test_the_packed_sample_itself_is_left_alone(preprocessor):
    data = batch()
    preprocessor(data)
    assert data['data_samples'][0].gt_sr.img.dtype == torch.uint8


def test_without_normalisation_the_recorded_one_is_the_identity():
    samples = PoseClipDataPreprocessor()(batch())['data_samples']
    assert samples[0].img_norm_cfg == {'mean': (0.0,) * 3, 'std': (1.0,) * 3}


@pytest.mark.parametrize(
    ('inputs', 'words'),
    [
        ([torch.zeros(3, 8, 6), torch.zeros(2, 3, 8, 6)], r'\(2, 3, 8, 6\)'),
        ([torch.zeros(8, 6)], r'\(8, 6\)'),
        ([torch.zeros(0, 3, 8, 6)], 'T >= 1'),
        ([torch.zeros(2, 3, 8, 6), torch.zeros(4, 3, 8, 6)], 'num_frames'),
        ([torch.zeros(2, 1, 8, 6)], '3 colours'),
    ],
)
def test_bad_inputs_are_named(preprocessor, inputs, words):
    with pytest.raises(ValueError, match=words):
        preprocessor({'inputs': inputs, 'data_samples': []})


def test_padding_and_a_high_resolution_target_do_not_go_together():
    preprocessor = PoseClipDataPreprocessor(**ARGS, pad_size_divisor=64)
    with pytest.raises(ValueError, match='pad_size_divisor=64'):
        preprocessor(batch())
