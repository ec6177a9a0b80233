"""Videos end to end with models whose answer is known: the place of a bright blob."""

import sys
import time
import types

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpose.apis import inference_topdown

from blob_videos import (
    FRAMES,
    RATE,
    blob_boxes,
    blob_centre,
    clip_config,
    heatmap_config,
    make_checkpoint,
    make_frame,
    moving_boxes,
    save_frames,
)
from star_pose.apis.background import Background
from star_pose.apis.frame_sources import SourceFrame, open_source
from star_pose.apis.read_ahead import ReadAhead
from star_pose.apis.track_evidence import FrameEvidence, TrackEvidence, average_evidence
from star_pose.apis.video_pose import VideoPose
from star_pose.apis.video_writer import VideoWriter
from star_pose.datasets import DataNotFoundError, LabelError
from star_pose.models import EvidenceFusion


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """A folder of frames, with the same as a video file beside it."""
    root = tmp_path_factory.mktemp('blobs')
    save_frames(root / 'frames')
    with VideoWriter(root / 'blobs.mp4', rate=RATE, crf=8) as writer:
        for frame in range(FRAMES):
            writer.write(make_frame(frame))
    return root / 'frames'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp('weights'))


@pytest.fixture
def clips(checkpoint):
    return VideoPose(clip_config(), checkpoint, backend='torch', smoothing=False)


@pytest.fixture
def heatmaps(checkpoint):
    return VideoPose(heatmap_config(), checkpoint, backend='torch', smoothing=False)


def truth(frame: float) -> np.ndarray:
    return np.array([blob_centre(person, frame) for person in range(2)])


def test_a_program_of_another_scope_keeps_it(video, checkpoint):
    with DefaultScope.overwrite_default_scope('mmdet'):
        poser = VideoPose(heatmap_config(), checkpoint, backend='torch')
        assert DefaultScope.get_current_instance().scope_name == 'mmdet'
        assert len(list(poser(video, moving_boxes))) == FRAMES
        assert DefaultScope.get_current_instance().scope_name == 'mmdet'


def test_joints_of_the_neighbouring_frames_land_where_they_are(video, clips):
    results = list(clips(video, moving_boxes))
    assert [result.index for result in results] == list(range(FRAMES))
    for result in results:
        t = result.index
        times = np.clip([t - 1, t, t + 1], 0, FRAMES - 1)
        expected = np.stack([truth(frame) for frame in times], axis=1)
        assert np.abs(result.keypoints - expected).max() < 1
        assert result.time == pytest.approx(t / 25)
        assert result.name == f'frames/f{t + 7}.png'.split('/')[1]


def test_ids_stay_with_the_people_in_any_order(video, clips):
    def shuffled(index, image):
        boxes = blob_boxes(index)
        return (boxes if index % 2 else boxes[::-1]), np.ones(2)

    ids = [result.track_ids.tolist() for result in clips(video, shuffled)]
    assert ids == [[0, 1], [1, 0]] * 3 + [[0, 1]]


def test_every_kind_of_source_gives_the_same(video, clips):
    arrays = [make_frame(frame) for frame in range(FRAMES)]
    wanted = [result.keypoints for result in clips(video, moving_boxes)]
    for source in (
        str(video / '*.png'),
        arrays,
        np.stack(arrays),
        iter(arrays),
        [str(video / f'f{n + 7}.png') for n in range(FRAMES)],
    ):
        found = [result.keypoints for result in clips(source, moving_boxes)]
        np.testing.assert_allclose(found, wanted)
    from_file = list(clips(video.parent / 'blobs.mp4', moving_boxes))
    assert [r.time for r in from_file] == pytest.approx(np.arange(FRAMES) / RATE)
    assert np.abs(np.stack([r.keypoints for r in from_file]) - wanted).max() < 0.5


def test_standard_input_is_a_source(video, monkeypatch):
    path = video.parent / 'blobs.mkv'
    with VideoWriter(path, rate=RATE) as writer:
        for frame in range(FRAMES):
            writer.write(make_frame(frame))
    with open(path, 'rb', buffering=0) as stream:
        monkeypatch.setattr(sys, 'stdin', types.SimpleNamespace(buffer=OneWay(stream)))
        frames = list(open_source('-').frames())
    assert len(frames) == FRAMES
    assert frames[-1].image.shape == (160, 240, 3)


class OneWay:
    """A stream as a pipe gives it: it can be read on, and not sought in."""

    def __init__(self, file):
        self.read = file.read


def test_a_still_gives_what_mmpose_gives(video, clips):
    frame = str(video / 'f10.png')
    (result,) = clips(frame, moving_boxes)
    theirs = inference_topdown(clips.model.model, cv2.imread(frame), blob_boxes(0))
    for ours, sample in zip(result.keypoints, theirs, strict=True):
        assert np.allclose(ours, sample.pred_instances.keypoints[0], atol=1e-4)


def test_batches_of_people_change_nothing(video, checkpoint):
    one, many = (
        VideoPose(clip_config(), checkpoint, backend='torch', batch_size=size) for size in (1, 32)
    )
    for a, b in zip(one(video, moving_boxes), many(video, moving_boxes), strict=True):
        np.testing.assert_allclose(a.keypoints, b.keypoints)
        assert a.track_ids.tolist() == b.track_ids.tolist() == [0, 1]


def test_people_of_several_frames_share_a_batch(video, heatmaps):
    sizes, run = [], heatmaps.model.run
    heatmaps.model.run = lambda pixels: sizes.append(len(pixels)) or run(pixels)
    list(heatmaps(video, moving_boxes))
    assert sizes == [2 * FRAMES]


def test_a_person_is_cut_out_once_a_frame(video, heatmaps):
    cuts, cut = [], heatmaps.model.cut_one
    heatmaps.model.cut_one = lambda image, box: cuts.append(1) or cut(image, box)
    list(heatmaps(video, moving_boxes))
    assert len(cuts) == 2 * FRAMES


def test_exported_network_gives_the_same_keypoints(video, checkpoint):
    torch_, onnx = (
        VideoPose(heatmap_config(), checkpoint, backend=backend)
        for backend in ('torch', 'onnxruntime')
    )
    assert (torch_.model.backend, onnx.model.backend) == ('torch', 'onnxruntime')
    for a, b in zip(torch_(video, moving_boxes), onnx(video, moving_boxes), strict=True):
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)


def test_boxes_follow_the_poses_between_detections(video, heatmaps):
    class Detector:
        patience = 1

        def looks_at(self, index):
            return index == 0

        def __call__(self, index, image):
            return moving_boxes(index, image)

    for result in heatmaps(video, Detector()):
        assert np.abs(result.keypoints[:, 1] - truth(result.index)).max() < 1.5
        # A frame behind at first, until the speed is known
        assert np.abs(result.boxes - blob_boxes(result.index)).max() < 8


def test_a_person_whom_the_detector_does_not_confirm_is_given_up(heatmaps):
    seen = []

    def detector(index, image):
        seen.append(index)
        boxes = blob_boxes(index)
        return (boxes if index == 0 else boxes[:1]), np.ones(2 if index == 0 else 1)

    heatmaps.detector, heatmaps.detect_every = detector, 2
    frames = [make_frame(frame) for frame in range(FRAMES)]
    counts = [len(result.boxes) for result in heatmaps(frames)]
    assert seen == [0, 2, 4, 6]
    assert counts == [2, 2, 2, 2, 1, 1, 1], 'missed once is forgiven, twice is not'


def test_a_person_who_returns_keeps_the_id(heatmaps):
    def boxes(index, image):
        there = blob_boxes(index)
        return (there, np.ones(2)) if index not in (2, 3) else (there[:1], np.ones(1))

    ids = [r.track_ids.tolist() for r in heatmaps([make_frame(n) for n in range(FRAMES)], boxes)]
    assert ids == [[0, 1], [0, 1], [0], [0], [0, 1], [0, 1], [0, 1]]


def test_evidence_of_the_frames_around_mends_a_wrong_heatmap(checkpoint):
    frames = [make_frame(frame) for frame in range(FRAMES)]
    found = {}
    for evidence in (0, 2):
        poser = VideoPose(
            heatmap_config(), checkpoint, backend='torch', smoothing=False, evidence=evidence
        )
        run = poser.model.run

        def spoilt(pixels, run=run):
            heatmaps = run(pixels)[0].copy()
            heatmaps[6:8] = 0.1  # of frame 3
            heatmaps[6:8, :, 5, 5] = 0.6
            return (heatmaps,)

        poser.model.run = spoilt
        found[evidence] = list(poser(frames, moving_boxes))[3].keypoints[:, 1]
    assert np.abs(found[0] - truth(3)).max() > 10
    assert np.abs(found[2] - truth(3)).max() < 1


def test_live_sees_the_past_only_and_what_it_gives_does_not_change_later(checkpoint):
    live = VideoPose(heatmap_config(), checkpoint, backend='torch', live=True)
    read = []

    def frames():
        for number in range(FRAMES):
            read.append(number)
            yield make_frame(number)
            # The next one is asked for when this one is out
            while len(results) <= number:
                pass

    results = []
    for result in live(frames(), moving_boxes):
        assert result.index == read[-1], 'no frame waits for a later one'
        assert result.latency >= 0
        results.append(result)
    assert [r.index for r in results] == list(range(FRAMES))
    before = VideoPose(heatmap_config(), checkpoint, backend='torch', live=True)
    short = list(before([make_frame(n) for n in range(1)], moving_boxes))
    np.testing.assert_allclose(short[0].keypoints, results[0].keypoints)


def test_live_drops_what_comes_too_fast_and_counts_it():
    def frames():
        for number in range(50):
            yield SourceFrame(number, number / 25, np.zeros((2, 2, 3), np.uint8), str(number))

    reader = ReadAhead(frames(), depth=1, drop=True)
    patience = time.monotonic() + 60
    while reader.dropped < 49 and time.monotonic() < patience:
        time.sleep(0.01)
    left = [frame.index for frame in reader]
    assert left == [49]
    assert reader.dropped == 49


def test_reading_ahead_passes_errors_on():
    def frames():
        yield SourceFrame(0, 0.0, np.zeros((2, 2, 3), np.uint8), '0')
        raise LabelError('frame 1 is wrong')

    reader = iter(ReadAhead(frames()))
    assert next(reader).index == 0
    with pytest.raises(LabelError, match='frame 1 is wrong'):
        next(reader)


def test_memory_does_not_grow_with_the_video(checkpoint):
    """Tracks, evidence and smoothing forget; every ten frames somebody new comes."""
    poser = VideoPose(heatmap_config(), checkpoint, backend='torch')

    def boxes(index, image):
        x = 20 + 30 * (index // 10 % 6)
        return np.array([[x - 15.0, 50, x + 15, 90]]), np.ones(1)

    frame = make_frame(0)
    for _ in poser((frame for _ in range(400)), boxes):
        pass
    run = poser.run
    assert len(run.tracker.tracks) <= 5
    assert len(run.memory._tracks) <= 2
    assert all(len(frames) <= 5 for frames in run.memory._tracks.values())
    assert len(run.smoother._tracks) <= 26  # those of ten seconds


def test_smoothing_takes_the_jitter_out_and_keeps_up(checkpoint):
    frames = [make_frame(frame * 0.2) for frame in range(35)]
    wanted = np.stack([truth(frame * 0.2) for frame in range(35)])
    found = {}
    for smoothing in (False, True):
        rng = np.random.default_rng(0)
        poser = VideoPose(
            heatmap_config(), checkpoint, backend='torch', evidence=0, smoothing=smoothing
        )
        decode = poser.model.decode

        def shaky(*what, decode=decode, rng=rng):
            keypoints, scores = decode(*what)
            return keypoints + rng.normal(0, 2, keypoints.shape), scores

        poser.model.decode = shaky
        boxes = lambda index, image: moving_boxes(index * 0.2, image)  # noqa: E731
        found[smoothing] = np.stack([r.keypoints[:, 1] for r in poser(frames, boxes)])
    jitter = {key: np.abs(np.diff(poses, 2, axis=0)).mean() for key, poses in found.items()}
    error = {key: np.abs(poses - wanted).mean() for key, poses in found.items()}
    assert jitter[True] < 0.5 * jitter[False]  # of white noise; more would cost joints that move
    assert error[True] < error[False]


def test_bad_frames_are_counted_and_skipped(video, clips, tmp_path):
    save_frames(tmp_path / 'frames')
    (tmp_path / 'frames' / 'f9.png').write_bytes(b'')
    results = list(clips(tmp_path / 'frames', moving_boxes))
    assert [result.index for result in results] == [0, 1, 3, 4, 5, 6]
    ((index, fault),) = clips.run.source.bad
    assert index == 2
    assert 'f9.png' in fault


def test_boxes_outside_the_frame_are_left_out_and_counted(video, clips):
    def boxes(index, image):
        return np.array([*blob_boxes(index), [1000, 1000, 1040, 1080.0]]), np.ones(3)

    assert [len(result.boxes) for result in clips(video, boxes)] == [2] * FRAMES
    assert clips.run.outside == FRAMES


def test_what_is_no_source_is_refused(tmp_path):
    (tmp_path / 'notes.txt').write_text('')
    (tmp_path / 'text.mp4').write_text('no film')
    for source, error, text in (
        (tmp_path / 'missing.mp4', DataNotFoundError, 'video file, image or folder'),
        (tmp_path, DataNotFoundError, 'images in the folder'),
        (tmp_path / 'notes.txt', LabelError, 'is neither a video'),
        (tmp_path / 'text.mp4', Exception, 'cannot read video'),
        (tmp_path / '*.png', DataNotFoundError, 'not found'),
        (3.5, LabelError, 'a float is no source'),
    ):
        with pytest.raises(error, match=text):
            open_source(source)
    for image in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), 'text'):
        with pytest.raises(LabelError, match='frame 0'):
            next(open_source(iter([image])).frames())


def test_numbers_out_of_range_are_refused(checkpoint):
    for wrong in (dict(detect_every=0), dict(evidence=-1), dict(batch_size=0)):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            VideoPose(clip_config(), checkpoint, **wrong)
    with pytest.raises(LabelError, match='backend is'):
        VideoPose(clip_config(), checkpoint, backend='tensorrt')
    with pytest.raises(LabelError, match='device gpu'):
        VideoPose(clip_config(), checkpoint, device='gpu')
    with pytest.raises(DataNotFoundError, match='did you mean'):
        VideoPose('movenet-thundr')


def test_the_plain_average_of_evidence_is_that_of_the_fusion_module():
    """Boxes that grow and move, maps of a joint that stands still in the frame, and noise."""
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (300, 300, 3), dtype=np.uint8), (0, 0), 4)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    y, x = np.mgrid[:64, :48]
    clip, joint = [], np.array([104.0, 97.0])
    for step in range(5):
        centre, scale = (
            np.array([100.0 + 9 * step, 100 + 2 * step]),
            np.array([72.0, 96]) * (1 + 0.03 * step),
        )
        corner = centre - scale / 2
        matrix = np.array([[scale[0] / 192, 0, corner[0]], [0, scale[1] / 256, corner[1]]])
        crop = cv2.warpAffine(
            picture, matrix, (192, 256), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        cell = (joint - corner) / scale * (48, 64) - 0.5
        heatmap = np.exp(-((x - cell[0]) ** 2 + (y - cell[1]) ** 2) / 8)
        maps = (heatmap + 0.1 * rng.random((3, 64, 48))).astype(np.float32)
        clip.append(FrameEvidence.of(maps, crop.transpose(2, 0, 1), centre, scale))
    for index in (0, 2, 4):
        places = np.stack([clip[index].placement(e) for e in clip])[None]
        wanted = EvidenceFusion()(
            torch.from_numpy(np.stack([e.heatmaps for e in clip])[None]),
            (torch.from_numpy(np.stack([e.crop for e in clip])[None]).float() - 114) / 57,
            index,
            torch.from_numpy(places),
        )[0].numpy(force=True)  # fmt: skip
        found = average_evidence(clip, index)
        assert np.abs(found - wanted).mean() < 1e-3
        assert np.abs(found - wanted).max() < 0.03
        assert np.abs(clip[index].heatmaps - wanted).mean() > 0.01, 'the others count'


def test_a_fusion_that_has_learned_is_used_itself():
    fusion = EvidenceFusion()
    assert TrackEvidence(fusion, 2, 2)._plain
    fusion.coefficients.data[1] = -1
    assert not TrackEvidence(fusion, 2, 2)._plain


def test_background_work_is_done_in_order_and_its_errors_come_back():
    done, background = [], Background(depth=2)
    for number in range(20):
        background.put(done.append, number)
    background.close()
    assert done == list(range(20))

    def fail():
        raise OSError(28, 'No space left on device')

    def put_many():
        for _ in range(1000):
            background.put(time.sleep, 0.001)

    background.put(fail)
    with pytest.raises(OSError, match='No space'):
        put_many()
    background.close()
    background.put(fail)
    with pytest.raises(OSError, match='No space'):
        background.close()
