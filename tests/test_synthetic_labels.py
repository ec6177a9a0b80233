"""Labels of the renderer by closed forms: boxes, the occlusion rule, the instant of a label."""

import numpy as np
import pytest

from star_pose.posetrack.joints import KEYPOINTS
from star_pose.synthetic import Scene, SceneOptions
from star_pose.synthetic import scene as scene_module
from star_pose.synthetic.body import REGIONS
from star_pose.synthetic.camera import Camera
from star_pose.synthetic.labels import annotate_person, head_box, visible_joints
from star_pose.synthetic.render import SurfaceView
from star_pose.synthetic.skeleton import JOINTS

# 500 px a metre at 2 m, the whole figure at the point (100, 100) of the image.
CAMERA = Camera(np.zeros(3), np.diag([1.0, -1.0, 1.0]), 1000.0, (201, 201))
PEOPLE = np.tile([0.0, 0.0, 2.0], (len(JOINTS), 1))
SIDE = 31  # pixels of a joint's surroundings: 0.018 x 1.7 m x 500 px/m = 15.3 to every side


def test_the_person_box_is_the_labelled_joints_and_15_percent_on_every_side():
    pixels = np.full((17, 2), 500.0)
    labelled = np.zeros(17, bool)
    for name, point in (
        ('nose', (10, 40)), ('left_hip', (50, 20)), ('left_knee', (30, 120)),
        ('right_wrist', (20, 60)), ('left_ear', (0, 0)),
    ):  # fmt: skip
        pixels[KEYPOINTS.index(name)], labelled[KEYPOINTS.index(name)] = point, True
    entry = annotate_person(pixels, labelled, [1, 2, 3, 4], 3, 7, ears=False)
    # x from 10 to 50, y from 20 to 120; the ear is not labelled, and unlabelled joints do not count
    assert entry['bbox'] == [10 - 6, 20 - 15, 40 * 1.3, 100 * 1.3]
    assert (entry['id'], entry['num_keypoints'], entry['bbox_head']) == (703, 4, [1, 2, 3, 4])
    with_ear = annotate_person(pixels, labelled, [1, 2, 3, 4], 3, 7, ears=True)
    assert with_ear['bbox'] == [-7.5, -18.0, 65.0, 156.0]


def test_joints_that_coincide_have_a_box_of_a_pixel_and_its_margin():
    pixels, labelled = np.full((17, 2), 30.0), np.zeros(17, bool)
    labelled[5:9] = True
    entry = annotate_person(pixels, labelled, [0, 0, 1, 1], 0, 1, ears=False)
    assert entry['bbox'] == [29.85, 29.85, 1.3, 1.3]
    labelled[5] = False
    assert annotate_person(pixels, labelled, [0, 0, 1, 1], 0, 1, ears=False) is None


def test_the_head_box_holds_all_vertices_in_whole_pixels():
    vertices = np.array([[-0.01, 0.02, 2], [0.0111, -0.0111, 2]])  # -> 95, 90 and 105.55, 105.55
    assert head_box(vertices, CAMERA) == [95, 90, 11, 16]


def _labelled(share, owner, region='torso', nearer=1.0):
    """Labelled joints of the figure 0, of whose surroundings a share shows one nearer quad."""
    owners = np.full((201, 201), -1)
    patch = np.full(SIDE * SIDE, -1)
    patch[: round(share * patch.size)] = 0
    owners[85:116, 85:116] = patch.reshape(SIDE, SIDE)
    scene = SurfaceView(
        points=np.zeros((1, 4, 2)), colour=np.zeros((1, 3)), owner=np.array([owner]),
        quad=np.array([0]), depth=np.array([2.0 - nearer]),
    )  # fmt: skip
    regions = np.array([REGIONS.index(region)])
    pixels, labelled = visible_joints(PEOPLE, 0, regions, scene, owners, CAMERA, 1.7)
    np.testing.assert_allclose(pixels, 100)
    return {name for name, seen in zip(KEYPOINTS, labelled, strict=True) if seen}


def test_a_joint_is_left_out_when_another_covers_more_than_three_fifths_of_its_surroundings():
    assert _labelled(0.59, owner=1) == set(KEYPOINTS)
    assert _labelled(0.61, owner=1) == set()
    assert _labelled(1.0, owner=1, nearer=-0.5) == set(KEYPOINTS), (
        'what stands behind hides nothing'
    )


PLACED = {
    'head_bottom', 'head_top', 'left_shoulder', 'right_shoulder', 'left_hip', 'right_hip',
}  # fmt: skip


def test_the_own_body_hides_limbs_and_face_by_the_same_share_but_no_joint_that_can_be_placed():
    assert _labelled(0.59, owner=0) == set(KEYPOINTS)
    assert _labelled(0.61, owner=0) == PLACED
    beside = {'left_elbow', 'left_wrist'}
    assert _labelled(1.0, owner=0, region='left_arm') == PLACED | beside, 'the limb itself'


@pytest.mark.parametrize(('joint', 'gap'), [('left_wrist', 0.08), ('left_knee', 0.13)])
def test_the_own_body_hides_a_joint_only_from_a_distance_in_front_of_it(joint, gap):
    assert joint in _labelled(1.0, owner=0, nearer=gap - 0.005)
    assert joint not in _labelled(1.0, owner=0, nearer=gap + 0.005)


def test_labels_hold_at_the_middle_of_an_exposure_sharp_or_blurred(monkeypatch):
    for seed, blurred in ((3, False), (4, True)):
        scene = Scene(SceneOptions(3, (128, 72), 1), np.random.default_rng(seed))
        middle, instants = 5 + 2, range(5, 10)  # of frame 1, with five instants a frame
        exposure = list(instants) if blurred else [middle]
        monkeypatch.setattr(scene, '_exposure', lambda f, e=exposure: [i + 5 * (f - 1) for i in e])
        seen, looked = [], []
        view, visible = scene_module.view, scene_module.visible_joints

        def watched(surfaces, instant, camera, view=view, looked=looked):
            looked.append((view(surfaces, instant, camera), camera))
            return looked[-1][0]

        def noted(joints, owner, regions, shown, owners, camera, stature, seen=seen, see=visible):
            seen.append((joints, shown, camera))
            return see(joints, owner, regions, shown, owners, camera, stature)

        with monkeypatch.context() as patch:
            patch.setattr(scene_module, 'view', watched)
            patch.setattr(scene_module, 'visible_joints', noted)
            list(scene.frames({1}, [0, 1, 2]))
        ((joints, shown, camera),) = seen
        assert camera is scene.cameras[middle]
        (of_the_labels,) = (camera for one, camera in looked if one is shown)
        assert of_the_labels is scene.cameras[middle]
        assert joints is not None
        np.testing.assert_array_equal(joints, scene.figures[0].joints[1])
        # Seconds of the middle instant are the frame's own.
        assert scene._times[middle] == pytest.approx(1 / 30)
