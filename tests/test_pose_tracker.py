"""Trackers: pairs by closed forms, and MOTA on simulated people who cross."""

import numpy as np
import pytest
from mmpose.evaluation.functional.nms import oks_iou
from mmpose.registry import TASK_UTILS

from star_pose.posetrack.score_ap import match_persons
from star_pose.posetrack.score_mota import joint_mota, sum_counts, tracking_counts
from star_pose.posetrack.tables import FrameTable, PoseTable
from star_pose.tracking import UNTRACKED, GreedyIoUTracker, PoseTracker, track_videos
from star_pose.tracking.pose_similarity import box_iou, oks, pose_boxes

# A standing person of height 1, in the order of posetrack_joints.JOINTS.
BODY = np.array(
    [(-.08, 1), (-.08, .75), (-.07, .5), (.07, .5), (.08, .75), (.08, 1), (-.2, .55), (-.17, .38),
     (-.1, .2), (.1, .2), (.17, .38), (.2, .55), (0, .17), (0, .1), (0, 0)]
)  # fmt: skip
HEIGHT = 120


def person(x, y=50.0, height=HEIGHT):
    return BODY * height + (x, y)


def feed(tracker, frames, scores=None):
    """``frames``: {index: list of poses}; scores alike, a number a person."""
    ids = []
    for index, poses in frames.items():
        level = np.ones(len(poses)) if scores is None else np.array(scores[index])
        poses = np.array(poses).reshape(len(poses), 15, 2)
        ids.append(tracker.update(index, poses, np.tile(level[:, None], (1, 15))).tolist())
    return ids


def simulate(num_videos=6, num_frames=40, seed=0):
    """Rows of people who walk through each other, as truth and as a poor detector sees them.

    A person more than half covered by one before him is missed, so are 8 % of the others; joints
    are off by 2 % of the height; every fourth frame has a phantom with low scores.
    """
    rng = np.random.default_rng(seed)
    truth, seen = [], []
    for video in range(num_videos):
        starts = rng.uniform(0, 700, 5)
        speeds = rng.choice([-1, 1], 5) * rng.uniform(4, 11, 5)
        heights, feet = rng.uniform(100, 140, 5), rng.uniform(200, 215, 5)
        gait = rng.uniform(0, 6, 5)
        for frame in range(num_frames):
            poses = []
            for n in range(5):
                pose = person(starts[n] + speeds[n] * frame, feet[n] - heights[n], heights[n])
                swing = 0.12 * heights[n] * np.sin(0.7 * frame + gait[n])
                pose[[0, 5], 0] += (swing, -swing)
                poses.append(pose)
            poses = np.stack(poses)
            boxes = pose_boxes(poses, np.ones(poses.shape[:2], bool))
            covered = box_iou(boxes, boxes) * (feet[None] > feet[:, None])
            for n in range(5):
                truth.append((video, frame, n, poses[n]))
                if covered[n].max() < 0.5 and rng.random() > 0.08:
                    noise = rng.normal(0, 0.02 * heights[n], poses[n].shape)
                    seen.append((video, frame, rng.uniform(0.5, 1), poses[n] + noise))
            if frame % 4 == 0:
                phantom = person(rng.uniform(0, 700), rng.uniform(0, 100), 110)
                seen.append((video, frame, rng.uniform(0.12, 0.28), phantom))
    return truth, seen


def simulated_mota(tracker, truth, seen):
    """MOTA of the evaluation, and how often a joint changed its id."""
    num_frames = 1 + max(row[1] for row in truth)
    num_videos = 1 + max(row[0] for row in truth)
    total = num_videos * num_frames
    frames = FrameTable(
        videos=[f'v{video}' for video in range(num_videos)],
        video=np.repeat(np.arange(num_videos), num_frames),
        times=np.tile(np.arange(num_frames), num_videos),
        ids=list(range(total)),
        names=[f'{index:06d}.jpg' for index in range(total)],
        labelled=np.ones(total, bool),
        annotated=np.ones(total, bool),
        regions=[[] for _ in range(total)],
        files=[f'v{video}' for video in range(num_videos)],
    )
    videos, index, level, poses = (np.array(column) for column in zip(*seen, strict=True))
    scores = np.tile(level[:, None], (1, 15))
    ids = track_videos(tracker, videos, index, poses, scores)
    kept = ids != UNTRACKED
    predicted = PoseTable.from_columns(
        (videos * num_frames + index)[kept], poses[kept], scores=scores[kept], track_ids=ids[kept]
    )
    videos, index, person_ids, poses = (np.array(column) for column in zip(*truth, strict=True))
    labels = PoseTable.from_columns(
        videos * num_frames + index,
        poses,
        track_ids=person_ids,
        head_sizes=np.full(len(poses), 0.12 * HEIGHT),
    )
    matching = match_persons(frames, labels, predicted, 'posetrack18')
    counts = sum_counts(tracking_counts(matching, frames.video))
    return joint_mota(counts).mota[-1], counts['switches'].sum()


def test_oks_equals_mmpose():
    rng = np.random.default_rng(0)
    poses, others = rng.uniform(0, 60, (4, 17, 2)), rng.uniform(0, 60, (6, 17, 2))
    seen, others_seen = rng.random((4, 17)) > 0.3, rng.random((6, 17)) > 0.3
    areas, sigmas = rng.uniform(2000, 9000, 4), rng.uniform(0.02, 0.1, 17)
    ours = oks(poses, seen, others, others_seen, areas, sigmas)

    def flat(p, v):
        return np.concatenate([p, v[..., None]], -1).reshape(len(p), -1)  # (N, 3 K)

    for m, row in enumerate(ours):
        theirs = oks_iou(
            flat(poses, seen)[m], flat(others, others_seen), areas[m], np.full(6, areas[m]),
            sigmas, vis_thr=0.5,
        )  # fmt: skip
        # MMPose adds machine epsilon to the area and works in float32.
        assert np.allclose(row, theirs, atol=1e-5)


def test_oks_of_poses_without_a_common_joint_is_zero():
    pose = person(10)[None]
    first, second = np.zeros((2, 1, 15), bool)
    first[0, :7], second[0, 7:] = True, True
    assert oks(pose, first, pose, second, np.array([1e4]), np.full(15, 0.08)) == 0


def test_box_iou_closed_form():
    boxes = np.array([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]])
    assert np.allclose(box_iou(boxes, np.array([[5.0, 0.0, 15.0, 10.0]])), [[1 / 3], [0]])


@pytest.mark.parametrize('make', [PoseTracker, GreedyIoUTracker])
def test_ids_follow_people_in_any_order(make):
    first, second = person(100), person(300)
    frames = {0: [first, second], 1: [second + 4, first + 4], 2: [first + 8], 3: [second, first]}
    assert feed(make(), frames) == [[0, 1], [1, 0], [0], [1, 0]]


@pytest.mark.parametrize('make', [PoseTracker, GreedyIoUTracker])
def test_a_lost_track_is_remembered_for_max_lost_frames(make):
    pose = person(100)
    frames = {0: [pose], 4: [pose], 9: [pose]}  # 3, then 4 frames without
    assert feed(make(max_lost=3), frames) == [[0], [0], [1]]
    assert feed(make(max_lost=4), frames) == [[0], [0], [0]]
    assert feed(make(max_lost=0), {0: [pose], 1: [pose], 3: [pose]}) == [[0], [0], [1]]


@pytest.mark.parametrize('make', [PoseTracker, GreedyIoUTracker])
def test_scores_decide_who_starts_and_who_continues(make):
    pose = person(100)
    frames = {t: [pose] for t in range(5)}
    scores = {0: [0.2], 1: [0.5], 2: [0.2], 3: [0.05], 4: [0.5]}
    tracker = make(start_thr=0.3, keep_thr=0.1, kpt_thr=0.01)
    assert feed(tracker, frames, scores) == [[UNTRACKED], [0], [0], [UNTRACKED], [0]]


def test_velocity_carries_a_track_through_a_gap():
    frames = {t: [person(40 + 15 * t)] for t in (0, 1, 2, 3, 9, 10)}
    assert feed(PoseTracker(damping=1), frames) == [[0]] * 6
    assert feed(GreedyIoUTracker(), frames) == [[0]] * 4 + [[1]] * 2


def area_of(pose):
    """Of the box that a tracker gives a pose: a tenth wider and higher on every side."""
    low, high = pose.min(0), pose.max(0)
    return (1.2 * (high - low)).prod()


@pytest.mark.parametrize('gap', [1, 4, 9])
@pytest.mark.parametrize(('similarity', 'kept'), [(0.92, True), (0.88, False)])
def test_tolerance_grows_with_the_square_root_of_the_frames_without(gap, similarity, kept):
    # OKS = exp(-d^2 / (2 (2 sigma)^2 area)), sigma = 0.08 x tolerance x sqrt(gap)
    pose, sigma = person(100), 0.08 * 1.5 * np.sqrt(gap)
    distance = np.sqrt(-2 * np.log(similarity) * (2 * sigma) ** 2 * area_of(pose))
    tracker = PoseTracker(oks_weight=1, match_thr=0.9, tolerance=1.5)
    # two frames of rest: the track's velocity is 0
    frames = {0: [pose], 1: [pose], 1 + gap: [person(100 + distance)]}
    assert feed(tracker, frames)[-1] == [0 if kept else 1]


@pytest.mark.parametrize(('damping', 'moved'), [(1, 60), (0.5, 35), (0, 20)])
def test_a_lost_track_walks_on_with_a_velocity_that_is_damped_in_every_frame(damping, moved):
    # 20 px a frame, then three frames on: 20 (1 + damping + damping^2)
    for off, expected in ((0, 0), (4, 1), (-4, 1)):
        tracker = PoseTracker(oks_weight=1, match_thr=0.9, tolerance=0.2, damping=damping)
        tracker.update(0, person(100)[None], np.ones((1, 15)))
        tracker.tracks[0].velocity = np.array([20.0, 0.0])
        ids = tracker.update(3, person(100 + moved + off)[None], np.ones((1, 15)))
        assert ids.tolist() == [expected]


def test_assignment_is_global_and_not_greedy():
    # The best single pair (old second, new first) would leave the other two without a partner.
    tracker = PoseTracker(oks_weight=0, match_thr=0.05)
    old, new = [person(100), person(130)], [person(124), person(154)]
    assert feed(tracker, {0: old, 1: new}) == [[0, 1], [0, 1]]
    greedy = GreedyIoUTracker(match_thr=0.05)
    assert feed(greedy, {0: old, 1: new}) == [[0, 1], [1, 2]]


def test_joints_tell_people_apart_whose_boxes_coincide():
    crouching = person(100)
    crouching[:, 1] = 50 + HEIGHT - (crouching[:, 1] - 50)  # a handstand in the same box
    frames = {0: [person(100), crouching], 1: [crouching, person(100)]}
    assert feed(PoseTracker(), frames) == [[0, 1], [1, 0]]


def test_reset_starts_the_numbers_again():
    tracker = PoseTracker()
    assert feed(tracker, {5: [person(1)], 6: [person(600)]}) == [[0], [1]]
    tracker.reset()
    assert feed(tracker, {0: [person(600)]}) == [[0]]


def test_a_frame_without_people_is_fine():
    assert feed(PoseTracker(), {0: [], 1: [person(9)], 2: [], 3: [person(9)]}) == [[], [0], [], [0]]


def test_track_videos_takes_any_order_and_keeps_videos_apart():
    truth, _ = simulate(num_videos=2, num_frames=8)
    videos, frames, people, poses = (np.array(column) for column in zip(*truth, strict=True))
    order = np.random.default_rng(0).permutation(len(truth))
    scores = np.ones(poses.shape[:2])
    plain = track_videos(PoseTracker(), videos, frames, poses, scores)
    mixed = track_videos(PoseTracker(), videos[order], frames[order], poses[order], scores)
    for video in range(2):
        assert sorted(set(plain[videos == video])) == list(range(5))
        for n in range(5):
            mine = (videos == video) & (people == n)
            assert len(set(plain[mine])) == 1
            assert len(set(mixed[mine[order]])) == 1


def test_mota_beats_greedy_iou_where_people_cross():
    truth, seen = simulate()
    ours, our_switches = simulated_mota(PoseTracker(), truth, seen)
    greedy, greedy_switches = simulated_mota(GreedyIoUTracker(), truth, seen)
    assert ours > greedy + 1
    assert our_switches < 0.5 * greedy_switches


def test_registered_with_parameters_from_a_config():
    tracker = TASK_UTILS.build(dict(type='PoseTracker', max_lost=7, oks_weight=0.25))
    assert (tracker.max_lost, tracker.oks_weight) == (7, 0.25)


def test_bad_values_name_frame_person_and_field():
    tracker = PoseTracker()
    poses, scores = np.stack([person(1), person(99)]), np.ones((2, 15))
    poses[1, 3, 0] = np.nan
    with pytest.raises(ValueError, match='frame 4, person 1: keypoints holds NaN'):
        tracker.update(4, poses, scores)
    with pytest.raises(ValueError, match=r'not \(2, 14, 2\)'):
        tracker.update(4, poses, scores[:, :14])
    with pytest.raises(ValueError, match=r'video 7: frame 4, person 1'):
        track_videos(tracker, np.full(2, 7), np.full(2, 4), poses, scores)
    tracker.reset()
    feed(tracker, {3: [person(1)]})
    with pytest.raises(ValueError, match='frame 3 comes after frame 3'):
        feed(tracker, {3: [person(1)]})
    with pytest.raises(ValueError, match=r'keep_thr=0\.5'):
        PoseTracker(keep_thr=0.5)
    with pytest.raises(ValueError, match=r'oks_weight=1.5 is outside \[0, 1\]'):
        PoseTracker(oks_weight=1.5)
    with pytest.raises(ValueError, match='17 sigmas but the poses have 15 joints'):
        feed(PoseTracker(sigmas=np.full(17, 0.1)), {0: [person(1)], 1: [person(1)]})
