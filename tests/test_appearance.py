"""Identities by looks: people who cross, leave and enter, and two boxes that find one person."""

import numpy as np
import pytest

from star_pose.apis.box_follower import BoxFollower
from star_pose.tracking import PoseTracker, person_looks

RED, BLUE, BLACK, GREEN = (30, 30, 200), (200, 60, 30), (25, 25, 25), (40, 160, 40)
# A walker of height 1: head, shoulders, hips, knees, feet
BODY = np.array(
    [(0, .1), (-.08, .25), (.08, .25), (-.06, .5), (.06, .5), (-.06, .75), (.06, .75), (-.07, 1),
     (.07, 1)]
)  # fmt: skip
HEIGHT, WIDTH = 80, 28


def scene(people, size=(320, 120), seed=0):
    """A picture (H, W, 3), poses and boxes of (x, y, shirt, trousers); the later is in front."""
    noise = np.random.default_rng(seed).normal(0, 6, (size[1], size[0], 3))
    image = np.full((size[1], size[0], 3), 150.0)
    boxes = np.array([(x - WIDTH / 2, y, x + WIDTH / 2, y + HEIGHT) for x, y, *_ in people])
    for (x1, y1, x2, y2), (_, _, shirt, trousers) in zip(boxes.astype(int), people, strict=True):
        middle = (y1 + y2) // 2
        image[y1:middle, max(x1 + 4, 0) : max(x2 - 4, 0)] = shirt
        image[middle:y2, max(x1 + 4, 0) : max(x2 - 4, 0)] = trousers
    poses = np.stack([BODY * HEIGHT + (x, y) for x, y, *_ in people])
    return np.clip(image + noise, 0, 255).astype(np.uint8), poses, boxes


def test_the_same_colours_are_alike_and_others_are_not():
    image, _, boxes = scene([(60, 20, RED, BLACK), (160, 20, BLUE, BLACK), (260, 20, RED, BLACK)])
    alike = person_looks(image, boxes) @ person_looks(image, boxes).T
    np.testing.assert_allclose(np.diag(alike), 1, atol=1e-6)
    assert alike[0, 2] > 0.9
    assert alike[0, 1] == pytest.approx(0.5, abs=0.05), 'the trousers are half of the look'
    outside = np.array([[-30.0, -90, -10, -5], [900, 40, 910, 41]])
    assert np.isfinite(person_looks(image, outside)).all()
    assert person_looks(image, np.zeros((0, 4))).shape[0] == 0


def follow(tracker, frames, with_looks=True):
    """Ids of {frame: people}."""
    ids = {}
    for frame, people in frames.items():
        image, poses, boxes = scene(people, seed=frame)
        looks = person_looks(image, boxes) if with_looks else None
        scores = np.ones(poses.shape[:2])
        ids[frame] = tracker.update(frame, poses, scores, boxes, looks=looks).tolist()
    return ids


def crossing(turn=False):
    """Red walks right and blue left; red is hidden behind blue from frame 14 to 20.

    With ``turn`` both go back where they came from, which place and motion cannot know.
    """
    frames = {}
    for frame in range(35):
        way = (34 - frame if turn and frame > 17 else frame) * 5
        red, blue = (75 + way, 20, RED, BLACK), (245 - way, 22, BLUE, BLACK)
        frames[frame] = [blue] if 14 <= frame <= 20 else [red, blue]
    return frames


@pytest.mark.parametrize('turn', [False, True], ids=['walk on', 'turn back'])
def test_two_who_cross_keep_their_numbers(turn):
    ids = follow(PoseTracker(max_lost=30), crossing(turn))
    assert all(ids[frame] == [0, 1] for frame in range(14))
    assert all(ids[frame] == [1] for frame in range(14, 21))
    assert all(ids[frame] == [0, 1] for frame in range(21, 35))
    if turn:
        plain = follow(PoseTracker(max_lost=30), crossing(turn), with_looks=False)
        assert plain[34] != [0, 1], 'place and motion alone take the one for the other'


def test_who_enters_does_not_get_the_number_of_who_has_left():
    """Black leaves at the right border; ten frames later green comes in there, then black again."""
    black = {n: [(275 + 4 * n, 20, BLACK, BLACK)] for n in range(10)}
    green = {20 + n: [(310 - 4 * n, 20, GREEN, BLUE)] for n in range(5)}
    back = {25 + n: [(290 - 4 * n, 20, GREEN, BLUE), (311 - 4 * n, 20, BLACK, BLACK)]
            for n in range(5)}  # fmt: skip
    ids = follow(PoseTracker(max_lost=30), black | green | back)
    assert {tuple(ids[n]) for n in black} == {(0,)}
    assert {tuple(ids[n]) for n in green} == {(1,)}
    assert {tuple(ids[n]) for n in back} == {(1, 0)}
    plain = follow(PoseTracker(max_lost=30), black | green, with_looks=False)
    assert plain[20] == [0], 'place and motion alone give the number away'


def test_a_look_is_learned_while_nobody_else_is_in_the_picture():
    tracker = PoseTracker()
    _, poses, boxes = scene([(60, 20, RED, BLACK), (66, 20, BLUE, BLACK)])
    looks = np.eye(2, 5)
    for frame, together in enumerate([False, True, False]):
        rows = slice(0, 2 if together else 1)
        other = 0.8 * looks + 0.6 * np.roll(looks, 2, axis=1)
        seen = (looks if frame == 0 else other)[rows]
        tracker.update(frame, poses[rows], np.ones((2, 9))[rows], boxes[rows], looks=seen)
        wanted = {0: [1, 0], 1: [1, 0], 2: [0.8 + 0.2 * 0.8, 0.2 * 0.6]}[frame]
        np.testing.assert_allclose(tracker.tracks[0].look[[0, 2]], wanted / np.linalg.norm(wanted))


def test_of_two_boxes_that_find_one_person_the_one_that_jumped_goes():
    _, poses, boxes = scene([(100, 20, RED, BLACK), (160, 20, BLUE, BLACK)])
    scores = np.tile(np.linspace(0.5, 1, 9), (2, 1))
    follower = BoxFollower(patience=1)
    follower.locate(0, (320, 120), (boxes, np.ones(2)))
    assert follower.learn(poses, scores).tolist() == [0, 1]
    located, _ = follower.locate(1, (320, 120), None)
    assert len(located) == 2
    assert follower.learn(np.stack([poses[1], poses[1] + 1]), scores).tolist() == [1]
    located, _ = follower.locate(2, (320, 120), None)
    np.testing.assert_allclose(located, boxes[1:] + 1.5, atol=0.01)  # one pixel, half of it again
    # Boxes that were given for the frame are never given up
    follower.locate(3, (320, 120), (boxes, np.ones(2)))
    assert follower.learn(np.stack([poses[1], poses[1]]), scores).tolist() == [0, 1]


def test_a_weak_box_confirms_who_is_followed_and_begins_nobody():
    _, poses, boxes = scene([(60, 20, RED, BLACK), (200, 20, BLUE, BLACK)])
    scores = np.tile(np.linspace(0.5, 1, 9), (2, 1))
    follower = BoxFollower(patience=0, start_thr=0.5)
    located, _ = follower.locate(0, (320, 120), (boxes, np.array([0.9, 0.3])))
    np.testing.assert_array_equal(located, boxes[:1])
    follower.learn(poses[:1], scores[:1])
    moved = boxes + np.array([4, 0, 4, 0])
    located, found = follower.locate(1, (320, 120), (moved, np.array([0.3, 0.4])))
    np.testing.assert_array_equal(located, moved[:1])
    assert found.tolist() == [0.3]
    follower.learn(poses[:1], scores[:1])
    far = moved + np.array([WIDTH, 0, WIDTH, 0])  # beside him: somebody else
    assert len(follower.locate(2, (320, 120), (far, np.array([0.3, 0.4])))[0]) == 0


def test_a_sure_box_goes_before_a_weak_one_of_the_same_person():
    _, poses, boxes = scene([(60, 20, RED, BLACK)])
    follower = BoxFollower(patience=0, start_thr=0.5)
    follower.locate(0, (320, 120), (boxes, np.array([0.9])))
    follower.learn(poses, np.tile(np.linspace(0.5, 1, 9), (1, 1)))
    half = boxes - np.array([0, 0, 0, HEIGHT / 2])  # the upper half, by the surer look
    located, scores = follower.locate(
        1, (320, 120), (np.concatenate([boxes, half]), np.array([0.3, 0.6]))
    )
    np.testing.assert_array_equal(located, half)
    assert scores.tolist() == [0.6]


def test_a_box_that_ends_above_the_feet_rises_slowly_and_sinks_at_once():
    _, poses, boxes = scene([(60, 20, RED, BLACK)])
    scores = np.tile(np.linspace(0.5, 1, 9), (1, 1))
    follower = BoxFollower(patience=1)

    def look(height: float) -> float:
        """Share of the height at which the box ends after a look that ends it at ``height``."""
        found = boxes - np.array([0, 0, 0, (1 - height) * HEIGHT])
        ((*_, end),), _ = follower.locate(look.frame, (320, 120), (found, np.ones(1)))
        follower.learn(poses, scores)
        look.frame += 1
        return (end - boxes[0, 1]) / HEIGHT

    look.frame = 0
    assert look(1.0) == pytest.approx(1.0)
    assert look(0.8) == pytest.approx(0.95)  # a quarter of the way up
    assert look(0.8) == pytest.approx(0.9125)
    assert look(1.0) == pytest.approx(1.0)
    assert look(0.6) == pytest.approx(0.75)  # no more than a quarter of the box is missing
    # Boxes that are the truth count as they are
    follower, look.frame = BoxFollower(patience=0), 0
    assert [look(1.0), look(0.8)] == pytest.approx([1.0, 0.8])
