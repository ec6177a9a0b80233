"""Evidence fusion: motion, warping, the plain average at the start, and weights that learn."""

import cv2
import numpy as np
import pytest
import torch

from pose_batches import (
    PREPROCESSOR,
    batch,
    build,
    estimator,
    losses_of,
    predict,
    simcc_head,
    star_pose,
)
from star_pose.models import EvidenceFusion
from star_pose.models.layers.evidence_fusion import clip_motion, dense_flow, sample_maps

HEIGHT, WIDTH, FRAMES, TARGET = 64, 48, 5, 2
STEP = torch.tensor([2.0, -1.0])  # what moves, moves so many pixels a frame


def texture(seed: int = 0, size: tuple[int, int] = (HEIGHT + 40, WIDTH + 40)) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(*size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return smooth / smooth.std()


def moving_clip() -> torch.Tensor:
    """(1, E, 3, h, w): a texture that moves by ``STEP`` a frame."""
    picture, frames = texture(), []
    for index in range(FRAMES):
        dx, dy = ((index - TARGET) * STEP).int().tolist()
        crop = picture[20 - dy : 20 - dy + HEIGHT, 20 - dx : 20 - dx + WIDTH]
        frames.append(torch.from_numpy(crop).permute(2, 0, 1))
    return torch.stack(frames)[None]


def joint_maps(places: torch.Tensor, sigma: float = 2.0) -> torch.Tensor:
    """Gaussians at (..., 2) places: (..., h, w)."""
    x, y = torch.arange(WIDTH), torch.arange(HEIGHT)
    across = torch.exp(-((x - places[..., :1]) ** 2) / (2 * sigma**2))
    down = torch.exp(-((y - places[..., 1:]) ** 2) / (2 * sigma**2))
    return down[..., :, None] * across[..., None, :]


def moving_maps(joints: torch.Tensor) -> torch.Tensor:
    """(1, E, K, h, w) of joints (K, 2) in the target frame."""
    offsets = (torch.arange(FRAMES) - TARGET)[:, None, None] * STEP
    return joint_maps(joints + offsets)[None]


JOINTS = torch.tensor([[20.0, 30.0], [30.0, 40.0], [15.0, 22.0]])


def test_the_flow_finds_where_the_targets_pixels_lie_in_the_other_frame():
    grey = (moving_clip()[0].mean(1) * 57 + 114).clamp(0, 255).byte().numpy()
    flow = dense_flow(grey[TARGET], grey[TARGET + 1])
    inner = flow[8:-8, 8:-8].reshape(-1, 2)
    np.testing.assert_allclose(np.median(inner, 0), STEP.numpy(), atol=0.15)
    assert np.abs(inner - STEP.numpy()).mean() < 0.3


def test_the_motion_of_a_clip_is_that_of_each_frame_from_the_target():
    motion, doubt, mismatch = clip_motion(moving_clip(), TARGET)
    assert motion.shape == (1, FRAMES, HEIGHT, WIDTH, 2)
    assert not motion[:, TARGET].any()
    for index in range(FRAMES):
        median = motion[0, index, 12:-12, 12:-12].flatten(0, 1).median(0).values
        torch.testing.assert_close(median, (index - TARGET) * STEP, rtol=0, atol=0.25)
        assert doubt[0, index, 12:-12, 12:-12].median() < 0.3
        assert mismatch[0, index, 12:-12, 12:-12].median() < 8


def test_what_is_not_there_is_doubted():
    frames = moving_clip()
    frames[:, 4] = torch.from_numpy(texture(9)[:HEIGHT, :WIDTH]).permute(2, 0, 1)
    _, doubt, mismatch = clip_motion(frames, TARGET)
    assert doubt[0, 4].median() > 3 * doubt[0, 3].median()
    assert mismatch[0, 4].median() > 3 * mismatch[0, 3].median()
    assert not doubt[:, TARGET].any()
    assert not mismatch[:, TARGET].any()


def test_a_map_is_read_where_it_is_asked_and_at_its_own_places_is_itself():
    maps = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(5.0), indexing='ij')
    own = torch.stack((x, y), -1).expand(2, -1, -1, -1)
    values, inside = sample_maps(maps, own)
    torch.testing.assert_close(values, maps)
    assert inside.all()
    values, inside = sample_maps(maps, own + torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(values[..., :-1], maps[..., 1:])
    assert inside[..., :-1].all()
    assert not inside[..., -1].any()
    between, _ = sample_maps(maps, own + torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(between[:, :, :-1], (maps[:, :, :-1] + maps[:, :, 1:]) / 2)


def test_still_frames_give_the_plain_average():
    maps = torch.rand(2, FRAMES, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    still = moving_clip()[:, TARGET : TARGET + 1].expand(2, FRAMES, -1, -1, -1)
    fused = EvidenceFusion(FRAMES)(maps, still, TARGET)
    torch.testing.assert_close(fused, maps.mean(1), rtol=1e-3, atol=1e-3)


def test_one_frame_is_its_own_evidence():
    maps = torch.rand(2, 1, 3, HEIGHT, WIDTH)
    assert torch.equal(
        EvidenceFusion(1)(maps, moving_clip()[:, :1].expand(2, -1, -1, -1, -1), 0), maps[:, 0]
    )


def test_moving_maps_come_together_at_the_targets_joints():
    maps = moving_maps(JOINTS)
    fused = EvidenceFusion(FRAMES)(maps, moving_clip(), TARGET)[0]
    for joint, fmap in zip(JOINTS, fused, strict=True):
        x, y = int(joint[0]), int(joint[1])
        assert fmap.flatten().argmax() == y * WIDTH + x
        assert fmap[y, x] > 0.85  # without motion they would smear: below 0.6
    smeared = maps.mean(1)[0]
    assert smeared.amax((1, 2)).max() < 0.6


def test_a_joint_that_only_other_frames_show_is_found():
    maps = moving_maps(JOINTS)
    maps[:, TARGET] = joint_maps(torch.tensor([[5.0, 5.0]] * 3))  # the target is wrong
    fused = EvidenceFusion(FRAMES)(maps, moving_clip(), TARGET)[0]
    found = torch.stack([torch.tensor(divmod(int(m.argmax()), WIDTH)[::-1]) for m in fused])
    assert (found - JOINTS).abs().max() <= 1


def test_places_from_outside_a_frame_do_not_count():
    # Everything moves by 24 pixels a frame: the target's right half lies outside the next frame.
    frames = torch.zeros(1, 2, 3, HEIGHT, WIDTH)
    maps = torch.stack((torch.ones(1, 1, HEIGHT, WIDTH), torch.zeros(1, 1, HEIGHT, WIDTH)), 1)
    placements = torch.eye(2, 3).repeat(1, 2, 1, 1)
    placements[0, 1, 0, 2] = 24.0
    fused = EvidenceFusion(2)(maps, frames, 0, placements)[0, 0]
    torch.testing.assert_close(fused[:, :24], torch.full((HEIGHT, 24), 0.5))
    torch.testing.assert_close(fused[:, 24:], torch.ones(HEIGHT, 24))


def test_crops_that_follow_the_person_give_what_one_crop_gives():
    """In a video each frame has its own box: here the person stands still in it."""
    maps = moving_maps(JOINTS)
    one_crop = EvidenceFusion(FRAMES)(maps, moving_clip(), TARGET)
    picture = texture()[20 : 20 + HEIGHT, 20 : 20 + WIDTH]
    followed = torch.from_numpy(picture).permute(2, 0, 1).expand(1, FRAMES, -1, -1, -1)
    placements = torch.eye(2, 3).repeat(1, FRAMES, 1, 1)
    still = joint_maps(JOINTS).expand(1, FRAMES, -1, -1, -1)
    fused = EvidenceFusion(FRAMES)(still, followed, TARGET, placements)
    region = (slice(None), slice(None), slice(12, -12), slice(12, -12))
    torch.testing.assert_close(fused[region], one_crop[region], rtol=0, atol=0.12)
    # The same frames and maps, given in crops that lie two cells beside the target's.
    shifted = torch.roll(followed, 2, -1), torch.roll(still, 2, -1)
    placements[:, [0, 1, 3, 4], 0, 2] = 2.0
    frames = torch.where(torch.arange(FRAMES).view(1, -1, 1, 1, 1) == TARGET, followed, shifted[0])
    maps = torch.where(torch.arange(FRAMES).view(1, -1, 1, 1, 1) == TARGET, still, shifted[1])
    again = EvidenceFusion(FRAMES)(maps, frames, TARGET, placements)
    torch.testing.assert_close(again[region], fused[region], rtol=0, atol=0.02)


def test_maps_of_half_the_frames_size_are_moved_by_half_the_pixels():
    frames = moving_clip()
    maps = torch.nn.functional.avg_pool2d(moving_maps(JOINTS)[0], 2)[None]
    fused = EvidenceFusion(FRAMES)(maps, frames, TARGET)[0]
    found = torch.stack([torch.tensor(divmod(int(m.argmax()), WIDTH // 2)[::-1]) for m in fused])
    assert (found - (JOINTS - 0.5) / 2).abs().max() <= 1


def test_the_weights_learn_to_distrust_frames_that_do_not_match():
    torch.manual_seed(0)
    fusion = EvidenceFusion(FRAMES)
    assert list(fusion.coefficients) == [0, 0, 0]
    optimiser = torch.optim.Adam(fusion.parameters(), 0.1)
    frames, maps = moving_clip(), moving_maps(JOINTS)
    # Two frames show another picture, and their maps are wrong.
    frames[:, [0, 4]] = torch.from_numpy(texture(9)[:HEIGHT, :WIDTH]).permute(2, 0, 1)
    maps[:, [0, 4]] = joint_maps(torch.tensor([[40.0, 10.0]] * 3))
    wanted, losses = joint_maps(JOINTS)[None], []
    for _ in range(40):
        loss = (fusion(maps, frames, TARGET) - wanted).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert fusion.coefficients[:2].max() < 0  # the more doubt and mismatch, the less weight


def test_the_weights_are_a_softmax_over_the_frames():
    frames, maps = moving_clip(), moving_maps(JOINTS)
    maps[:, 3] *= 0.5  # a joint that is less sharp there
    fusion = EvidenceFusion(FRAMES)
    with torch.no_grad():
        fusion.coefficients.copy_(torch.tensor([0.0, 0.0, 2.0]))
        fusion.distance.copy_(torch.tensor([0.3, -0.4, 0.0, 0.0]))
    found = fusion(maps, frames, TARGET)
    motion, _, _ = clip_motion(frames, TARGET)
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing='ij')
    places = torch.stack((x, y), -1) + motion[0]
    warped, inside = sample_maps(maps[0], places)
    # log of the peak, twice, is its square; the distances' biases are 1 and 2 frames'.
    weight = warped.amax((2, 3))[..., None, None].square() * inside
    weight = weight * torch.tensor([-0.4, 0.3, 0.0, 0.3, -0.4]).exp().view(-1, 1, 1, 1)
    torch.testing.assert_close(found[0], (weight * warped).sum(0) / weight.sum(0))


def test_no_frame_at_all_is_refused():
    with pytest.raises(ValueError, match='num_frames is 0'):
        EvidenceFusion(0)


class TestInTheModel:
    """Windows of 3 frames, 3 of them: clips of 5."""

    def model(self, target='centre', **changes):
        preprocessor = {**PREPROCESSOR, 'window': 3}
        head = {'evidence_fusion': {'type': 'EvidenceFusion', 'num_frames': 3}, 'target': target}
        config = star_pose('image', **head, **changes)
        config['backbone']['target'] = target
        return build({**config, 'data_preprocessor': preprocessor})

    @pytest.mark.parametrize(('target', 'place'), [('centre', 1), ('last', 2)])
    def test_a_clip_and_a_video_that_keeps_its_maps_give_the_same_numbers(self, target, place):
        model = self.model(target).eval()
        data = batch(num_frames=5, target_idx=2 if target == 'centre' else 4)
        with torch.no_grad():
            model.head.evidence_fusion.coefficients.copy_(torch.tensor([-1.0, -0.3, 0.5]))
            inputs = model.data_preprocessor(data, False)['inputs']
            of_clip = model(inputs, None)
            # A video: each frame's clip goes through the model once, when it comes.
            frames, maps = [], []
            for clip in inputs.unflatten(0, (2, 3)).unbind(1):
                feats = model.extract_feat(clip)
                frames.append(feats[0])
                maps.append(model.head.evidence(feats))
            of_video = model.head.evidence_fusion(
                torch.stack(maps, 1), torch.stack(frames, 1), place
            )
        assert of_clip.shape == (2, 5, 32, 24)
        # An untrained network's maps are tiny: the bounds are relative to them.
        assert (of_video - of_clip).abs().max() <= 1e-5 * of_clip.abs().max()
        assert (of_clip - maps[place]).norm() > 0.1 * of_clip.norm()

    def test_windows_are_the_frames_around_each_frame(self):
        model = self.model()
        data = batch(num_frames=5)
        inputs = model.data_preprocessor(data, False)['inputs']
        assert inputs.shape == (6, 3, 3, 32, 24)
        plain = build(star_pose()).data_preprocessor(batch(num_frames=5), False)['inputs']
        for start in range(3):
            torch.testing.assert_close(inputs[start], plain[0, start : start + 3])
            torch.testing.assert_close(inputs[3 + start], plain[1, start : start + 3])

    @pytest.mark.parametrize('flip_test', [False, True])
    def test_it_predicts_what_the_fused_maps_say(self, flip_test):
        model = self.model(test_cfg={'flip_test': flip_test, 'output_sr': True})
        samples = predict(model, batch(num_frames=5))
        assert len(samples) == 2
        assert samples[0].pred_sr.img.shape == (3, 128, 96)
        if flip_test:
            return
        with torch.no_grad():
            inputs = model.data_preprocessor(batch(num_frames=5), False)['inputs']
            fused = model(inputs, None)
        expected = model.head.decoder.decode(fused[0].numpy())[0]
        np.testing.assert_allclose(samples[0].pred_instances.keypoints, expected, atol=1e-3)

    def test_labels_train_the_target_frame_and_the_teacher_the_fusion(self):
        loss = {
            'type': 'FrozenNetworkDistillation',
            'levels': ['backbone.layer1'],
            'output': 'squared',
            'label_weight': 1.0,
        }
        model = self.model(distillation=loss, freeze_pose_net=True, sr_loss=None)
        losses = losses_of(model, batch(num_frames=5))
        assert {'loss_kpt', 'loss_distill_output', 'loss_distill_feature', 'psnr'} <= set(losses)
        losses['loss_distill_output'].backward()
        assert model.head.evidence_fusion.coefficients.grad.abs().sum() > 0
        # The features and the frame are the target's alone: as without fusion on the middle window.
        single = build(star_pose('image', distillation=loss, freeze_pose_net=True, sr_loss=None))
        single.load_state_dict(model.state_dict(), strict=False)
        data = batch(num_frames=5)
        data['inputs'] = [clip[1:4] for clip in data['inputs']]
        for sample in data['data_samples']:
            sample.set_metainfo({'target_idx': 1, 'frame_paths': ['a', 'b', 'c']})
        alone = losses_of(single, data)
        for name in ('loss_kpt', 'loss_distill_feature', 'loss_distill_pixel', 'psnr'):
            torch.testing.assert_close(losses[name], alone[name])

    def test_wrong_numbers_of_frames_are_refused(self):
        model = self.model()
        with pytest.raises(ValueError, match=r'8 clips for 2 samples.*window=T - 2'):
            losses_of(model, batch(num_frames=6))
        with pytest.raises(ValueError, match=r'2 frames are shorter than window=3'):
            losses_of(model, batch(num_frames=2))
        with pytest.raises(ValueError, match='window is 0'):
            build({**PREPROCESSOR, 'window': 0})

    def test_a_head_without_heatmaps_is_refused(self):
        with pytest.raises(ValueError, match='codec of the pose head is SimCCLabel'):
            self.model(pose_net=estimator(head=simcc_head()))
