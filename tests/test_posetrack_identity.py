"""Situations from public bug reports whose evaluation looked ordinary and was wrong."""

import json

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.registry import METRICS

import posetrack_builders as build
from posetrack_builders import VIDEO, document, label, pose, prediction, run
from posetrack_folder import make_posetrack, write_json
from star_pose.datasets import LabelError
from star_pose.datasets.labels.label_files import read_labels
from star_pose.engine.config_options import read_config
from star_pose.evaluation import JhmdbPCK, JitterMetric, PoseTrackMetric, PoseTrackPCKh
from star_pose.posetrack.evaluate import describe
from star_pose.posetrack.read_files import annolist_to_document
from star_pose.posetrack.read_labels import parse_ground_truth, read_ground_truth
from star_pose.posetrack.tables import PoseTrackError, frame_place
from test_posetrack_metric import compute, sample
from tiny_runs import REPO

FAR = 1000.0
TRACKER = dict(type='PoseTracker')


def meeting(names, order=None):
    """Two persons who walk towards each other and pass, labelled and predicted without error."""
    images, people = [], []
    for frame, name in enumerate(names):
        images.append({'id': frame + 1, 'file_name': name})
        for track, x in enumerate((100 + 30 * frame, 900 - 30 * frame)):
            ann = label(frame + 1, pose(x, 100 + 20 * track), track)
            people.append({**ann, 'id': 10 * frame + track})
    images = [images[i] for i in order] if order is not None else images
    truth = {'images': images, 'annotations': people, 'categories': build.CATEGORIES}
    samples = []
    for ann in people:
        name = names[ann['image_id'] - 1]
        one = sample({**ann, 'scores': [0.9] * 17}, truth=ann, img_path=f'data/{name}')
        one['pred_instances']['bboxes'] = one['pred_instances']['bboxes'] * np.nan
        del one['pred_instances']['bboxes']
        samples.append(one)
    return truth, samples


@pytest.mark.parametrize('form', ['walk/frame_{:04d}.png', 'walk/frame_{}.png', 'match.mp4#{}'])
@pytest.mark.parametrize('order', ['time', 'name', 'random'])
@pytest.mark.parametrize('with_file', [True, False])
def test_time_is_the_frames_number(tmp_path, form, order, with_file):
    names = [form.format(frame) for frame in range(24)]
    orders = {
        'time': range(24),
        'name': sorted(range(24), key=lambda i: names[i]),
        'random': np.random.default_rng(0).permutation(24),
    }
    truth, samples = meeting(names, orders[order])
    file = build.write(tmp_path, {'labels': truth}) / 'labels.json'
    samples = [samples[2 * i + k] for i in orders[order] for k in (0, 1)]
    metric = PoseTrackMetric(str(file) if with_file else None, tracker=TRACKER)
    metrics = compute(metric, samples)
    assert metrics['posetrack/AP'] == 100
    assert metrics['posetrack/MOTA'] == pytest.approx(100)


@pytest.mark.parametrize('form', ['walk/frame_{}.png', 'match.mp4#{}'])
def test_frames_stand_in_the_order_of_their_numbers(form):
    names = [form.format(5 * frame) for frame in range(24)]
    truth, _ = meeting(names, sorted(range(24), key=lambda i: names[i]))
    frames, persons = parse_ground_truth([('labels', truth)], merged=True)
    assert frames.names == names
    assert frames.times.tolist() == list(range(24))  # the numbering has a step
    assert persons.frame.tolist() == [frame for frame in range(24) for _ in range(2)]


@pytest.mark.parametrize(
    ('first', 'second'),
    [
        ('camA/{:04d}.png', 'camB/{:04d}.png'),
        ('rooms/a_{:04d}.png', 'rooms/b_{:04d}.png'),
        ('east/match.mp4#{}', 'west/match.mp4#{}'),
        ('east/walk/{:04d}.png', 'west/walk/{:04d}.png'),
        ('camA\\{:04d}.png', 'camB\\{:04d}.png'),
    ],
)
def test_videos_are_told_apart_as_the_data_sets_do(first, second):
    names = [first.format(i) for i in range(4)] + [second.format(i) for i in range(4)]
    images = [{'id': i, 'file_name': name} for i, name in enumerate(names)]
    people = [label(i, pose(100 + 3 * i)) for i in range(8)]
    truth = {'images': images, 'annotations': people, 'categories': build.CATEGORIES}
    frames, _ = parse_ground_truth([('labels', truth)], merged=True)
    assert frames.video.tolist() == [0] * 4 + [1] * 4
    assert frames.times.tolist() == [*range(4), *range(4)]
    assert len(set(frames.videos)) == 2
    # A track of the first video does not go on in the second: its ids begin at 0 again.
    samples = [
        sample({**ann, 'scores': [0.9] * 17}, truth=ann, img_path=names[ann['image_id']])
        for ann in people
    ]
    metric = PoseTrackMetric(tracker=TRACKER)
    assert compute(metric, samples)['posetrack/MOTA'] == pytest.approx(100)
    assert metric.tracker._next_id == 1


def test_a_frames_name_says_its_video_and_its_time():
    assert frame_place('match.mp4#10') == ('match.mp4', 10)
    assert frame_place('a/frame_9.png') == frame_place('a\\frame_9.png') == ('a/frame_', 9)
    assert frame_place('a/b#12.png') == ('a/b#', 12)
    assert frame_place('a/cover.png') == ('a/', None)


def test_frames_without_a_number_have_a_pose_and_no_order(tmp_path):
    names = [f'walk/frame_{frame:04d}_rgb.png' for frame in range(24)]
    truth, samples = meeting(names, np.random.default_rng(0).permutation(24))
    file = build.write(tmp_path, {'labels': truth}) / 'labels.json'
    assert compute(PoseTrackMetric(str(file)), samples)['posetrack/AP'] == 100
    with pytest.raises(PoseTrackError, match=r'frame_0000_rgb.png: its name ends in no number'):
        compute(PoseTrackMetric(str(file), tracker=TRACKER), samples)
    single = {**truth, 'images': truth['images'][:1]}
    single['annotations'] = [
        one for one in truth['annotations'] if one['image_id'] == single['images'][0]['id']
    ]
    frames, _ = parse_ground_truth([('labels', single)], merged=True)
    frames.require_order()  # a picture has no order to be known


def test_images_without_a_name_stand_in_the_order_of_their_ids():
    images = [{'id': number, 'vid_id': 'walk'} for number in (10, 9, 11)]
    truth = {'images': images, 'annotations': [], 'categories': build.CATEGORIES}
    frames, _ = parse_ground_truth([('labels', truth)], merged=True)
    assert frames.ids == [9, 10, 11]
    frames.require_order()


@pytest.mark.parametrize('value', [7, 7.0, '7', 10**17, 7.5, True, None, float('nan'), [7]])
@pytest.mark.parametrize('read', [read_labels, read_ground_truth])
def test_ids_are_the_same_to_data_sets_and_metrics(tmp_path, value, read):
    labels = make_posetrack(tmp_path, videos=('000001_test',), frames=1, labelled=(0,))
    for image in labels['images']:
        image['id'] = value
    for one in labels['annotations']:
        one['image_id'] = value
    path = str(write_json(tmp_path / 'val.json', labels))
    if value in (7, '7', 10**17):
        read(path)
        return
    with pytest.raises((LabelError, PoseTrackError), match=r'neither a whole|is no id'):
        read(path)


def two_files(tmp_path=None):
    """Labels of two videos with ids from 1 each; the second video is predicted 1000 px off."""
    samples = []
    for video in ('A', 'B'):
        for frame in range(6):
            ann = {**label(frame, pose()), 'id': frame + 1}
            guess = pose(FAR, FAR) if video == 'B' else pose()
            samples.append(
                sample(
                    prediction(frame, guess, 0.9 if video == 'A' else 0.8, id=frame + 1),
                    truth=ann,
                    img_path=f'data/{video}/{frame:04d}.png',
                    sample_idx=frame,
                )
            )
    return samples


def test_ids_that_repeat_in_another_file_drop_nothing():
    metrics = compute(PoseTrackMetric(), two_files())
    assert metrics['posetrack/AP'] == pytest.approx(50)
    assert metrics['posetrack/Recall'] == pytest.approx(50)
    assert compute(PoseTrackPCKh(), two_files())['posetrack/pckh@0.5'] == pytest.approx(50)


def test_ids_that_restart_in_each_image_drop_nothing(tmp_path):
    samples, people = [], []
    for frame in range(6):
        for number in range(2):
            ann = {**label(frame, pose(100 + 300 * number), number), 'id': number}
            guess = pose(100 + 300 * number) if frame == 5 else pose(FAR, FAR)
            people.append(ann)
            place = 2 * frame + number
            one = prediction(frame, guess, track=number, id=number)
            samples.append(sample(one, truth=ann, sample_idx=place))
    gt = build.write(tmp_path / 'gt', {VIDEO: document(people, 6)})
    for metric in (PoseTrackMetric(), PoseTrackMetric(str(gt))):
        assert compute(metric, samples)['posetrack/Recall'] == pytest.approx(100 / 6)
    assert compute(PoseTrackPCKh(), samples)['posetrack/pckh@0.5'] == pytest.approx(100 / 6)


@pytest.mark.parametrize('told_by', ['place', 'box'])
def test_persons_of_one_image_that_share_an_id_both_count(told_by):
    samples = []
    for number, guess in enumerate((pose(), pose(FAR, FAR))):
        ann = {**label(0, pose(100 + 300 * number), number), 'id': 7}
        samples.append(sample(prediction(0, guess, track=number, id=7), truth=ann))
        if told_by == 'place':
            samples[-1]['sample_idx'] = number
        else:
            corner = 300.0 * number
            samples[-1]['gt_instances'] = {'bboxes': np.array([[corner, 0, corner + 90, 90]])}
    assert compute(PoseTrackMetric(), samples)['posetrack/Recall'] == pytest.approx(50)
    assert compute(PoseTrackPCKh(), samples)['posetrack/pckh@0.5'] == pytest.approx(50)


def test_only_what_a_sampler_really_repeated_is_dropped():
    samples = two_files()
    whole = compute(PoseTrackMetric(), samples)
    assert compute(PoseTrackMetric(), [*samples, *samples[:3]]) == whole
    for one in samples:
        del one['sample_idx']  # another library's pipeline does not pack it
    assert compute(PoseTrackMetric(), [*samples, *samples[:3]]) == whole


def annolist(tracks):
    frames = []
    for frame in range(1, 5):
        rects = []
        for i, track in enumerate(tracks):
            points = [
                {'id': [j], 'x': [100.0 + 300 * i + 40 * (j % 4)], 'y': [100.0 + 40 * (j // 4)]}
                for j in range(15)
            ]
            rect = {'x1': [0], 'y1': [0], 'x2': [30], 'y2': [40], 'annopoints': [{'point': points}]}
            rects.append(rect | ({} if track is None else {'track_id': [track]}))
        name = f'images/000001_mpii/{frame:08d}.jpg'
        frames.append({'image': [{'name': name}], 'is_labeled': [1], 'annorect': rects})
    return {'annolist': frames}


@pytest.mark.parametrize('tracks', [(0, 1, 2), (None, None, None), (0, 1, 1), (0, 100, 200)])
def test_annolist_tracks_may_lack_repeat_or_be_large(tracks):
    content = annolist_to_document(annolist(tracks), 'file')
    assert len({ann['id'] for ann in content['annotations']}) == 12
    samples = []
    for place, ann in enumerate(content['annotations']):
        points = np.array(ann['keypoints'])
        if place % 3:
            points[::3] += FAR
        frame = ann['image_id'] % 10**4
        samples.append(
            sample(
                {**ann, 'keypoints': points, 'scores': [0.9] * 17},
                truth=ann,
                img_path=f'images/000001_mpii/{frame:08d}.jpg',
                sample_idx=place,
            )
        )
    metrics = compute(PoseTrackMetric(), samples)
    assert metrics['posetrack/Recall'] == pytest.approx(100 / 3)
    assert compute(PoseTrackPCKh(), samples)['posetrack/pckh@0.5'] == pytest.approx(100 / 3)


@pytest.mark.parametrize('merged', [False, True])
@pytest.mark.parametrize('shift', [-1, 1])
def test_an_id_that_contradicts_the_frames_name_is_an_error(shift, merged):
    names = [f'walk/frame_{frame:04d}.jpg' for frame in range(1, 10)]
    sides = []
    for offset in (0, shift):
        images = [{'id': i + offset, 'file_name': name} for i, name in enumerate(names, start=1)]
        people = [prediction(i + offset, pose(25 * i)) for i in range(1, 10)]
        people = [{**one, 'bbox_head': [0, 0, 30, 40]} for one in people]
        sides.append({'images': images, 'annotations': people, 'categories': build.CATEGORIES})
    with pytest.raises(PoseTrackError) as caught:
        run({'walk': sides[0]}, {'walk': sides[1]})
    first = str(caught.value).splitlines()[0]
    assert first.startswith('video walk, frame walk/frame_000')
    assert 'contradicts the name' in first
    assert len(caught.value.problems) == 8  # nothing else is said of these frames


def test_a_frame_that_predictions_list_twice_is_an_error():
    truth = document([label(frame, pose()) for frame in range(2)], 2)
    twice = document([prediction(frame, pose()) for frame in (0, 1, 1)], 2)
    again = {**twice['images'][1], 'id': 99}
    twice['images'].append(again)
    twice['annotations'][-1]['image_id'] = 99
    with pytest.raises(PoseTrackError, match='listed twice, as image id 1 too'):
        run(truth, twice)


def test_a_name_may_be_shorter_or_longer_than_that_of_the_labels():
    truth = document([label(0, pose())])
    for name in ('000000.jpg', f'{VIDEO}/000000.jpg', f'C:\\data\\val\\{VIDEO}\\000000.jpg'):
        predicted = document([prediction(0, pose())])
        predicted['images'][0]['file_name'] = name
        assert run(truth, predicted).total.ap.total == 100
    predicted['images'][0]['file_name'] = 'another_video/000000.jpg'
    with pytest.raises(PoseTrackError, match='a frame that the ground truth does not have'):
        run(truth, predicted)


@pytest.mark.parametrize(
    ('tracks', 'fault'),
    [
        ((4, 4), 'track_id 4 is already in this frame'),
        ((0.25, 0.75), 'track_id 0.25 is no whole number'),
        (('p0', 'p1'), "track_id 'p0' is no whole number"),
        ((None, None), 'ground truth without track_id'),
        ((True, 2), 'track_id True is no whole number'),
    ],
)
@pytest.mark.parametrize('side', ['labels', 'predictions'])
def test_track_ids_of_labels_and_predictions_are_checked_alike(tracks, fault, side):
    sides = []
    for make, wrong in ((label, side == 'labels'), (prediction, side == 'predictions')):
        people = [make(0, pose(100 + 300 * i), track=i) for i in range(2)]
        for one, track in zip(people, tracks, strict=True):
            one['track_id'] = track if wrong else one['track_id']
        sides.append(document(people))
    if side == 'predictions' and tracks[0] is None:
        fault = 'no track_id, which tracking needs'
    with pytest.raises(PoseTrackError) as caught:
        run(*sides, tracking=True)
    text = str(caught.value)
    assert text.startswith(f'video {VIDEO}, frame images/val/{VIDEO}/000000.jpg, person (id ')
    assert fault in text


@pytest.mark.parametrize('enlarged', [1.0, 1.25, 2.0])
def test_pck_is_relative_to_the_labels_own_box(enlarged):
    truth, middle = np.zeros((1, 15, 2)), np.array([32.0, 50.0])
    half = middle * enlarged
    box = np.concatenate([middle - half, middle + half])[None]
    one = {
        'pred_instances': {'keypoints': truth + np.array([12.0, 0])},
        'gt_instances': {
            'keypoints': truth,
            'keypoints_visible': np.ones((1, 15)),
            'bboxes': box,
        },
        'raw_ann_info': {'bbox': [0, 0, 64, 100]},
    }
    metric = JhmdbPCK(thresholds=(0.13, 0.11), norm_items=('bbox',))
    metrics = compute(metric, [one])
    assert (metrics['jhmdb/PCK@0.13'], metrics['jhmdb/PCK@0.11']) == (100, 0)


def test_a_joint_that_is_not_visible_is_no_label_of_pckh_and_counted_by_ap():
    points = np.array(pose()).reshape(17, 3)
    points[0, 2] = 0  # the nose
    unseen = label(0, points.ravel().tolist())
    guess = np.array(pose()).reshape(17, 3)
    guess[0, 0] += FAR
    guess = prediction(0, guess.ravel().tolist())
    metrics = compute(PoseTrackPCKh(), [sample(guess, truth=unseen)])
    assert metrics['posetrack/pckh@0.5'] == 100
    assert run(document([unseen]), document([guess])).counts['joints_unseen'] == 1


def test_frames_that_a_data_set_leaves_out_count_as_missed_and_are_told():
    truth = document([label(frame, pose()) for frame in range(4)], 4)
    result = run(truth, document([prediction(frame, pose()) for frame in (0, 2)], 4))
    assert result.total.metrics()['AP'] == pytest.approx(50)
    assert result.counts['frames_without_predictions'] == 2
    assert '2 frames with labelled joints have no prediction' in describe(result.counts, {})
    whole = run(truth, document([prediction(frame, pose()) for frame in range(4)], 4))
    assert whole.counts['frames_without_predictions'] == 0
    assert 'no prediction' not in describe(whole.counts, {})


def test_jitter_follows_the_images_numbers_and_videos():
    samples = [
        {
            'img_path': f'{video}/frame_{frame}.png',
            'track_id': 0,
            'pred_instances': {'keypoints': np.array([[[frame**2 * (video == 'b'), 0.0]]])},
        }
        for video in 'ab'
        for frame in (8, 9, 10)
    ]
    assert compute(JitterMetric(), samples)['jitter/accel'] == pytest.approx((0 + 2) / 2)


@pytest.mark.parametrize(
    ('name', 'others'),
    [
        ('SRQualityMetric', {}),
        ('JitterMetric', {}),
        ('JhmdbPCK', {}),
        ('PoseTrackPCKh', {}),
        ('CocoMetric', {'use_area': False}),
    ],
)
def test_the_flagships_metric_can_be_changed_on_the_command_line(
    tmp_path, monkeypatch, name, others
):
    options = {'test_evaluator.type': name}
    options |= {f'test_evaluator.{key}': value for key, value in others.items()}
    config = read_config(str(REPO / 'configs' / 'star_pose_64x48_posetrack.py'), options)
    evaluator = config.test_evaluator
    if 'ann_file' in evaluator:
        file = tmp_path / 'labels.json'
        file.write_text(json.dumps({'images': [], 'annotations': [], 'categories': []}))
        evaluator['ann_file'] = str(file)
    init_default_scope('mmpose')
    assert type(METRICS.build(evaluator)).__name__ == name
