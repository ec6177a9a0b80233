import dataclasses
import importlib.util
import json
import pathlib
import re
import shlex

import cv2
import numpy as np
import pytest
from xtcocotools.coco import COCO

from star_pose.posetrack.joints import KEYPOINTS
from star_pose.synthetic import (
    DatasetOptions,
    MotionLibrary,
    Scene,
    SceneOptions,
    contact_sheet,
    labelled_frames,
    list_photographs,
    make_dataset,
)
from star_pose.synthetic import writer as writer_module
from star_pose.synthetic.appearance import paint, random_person
from star_pose.synthetic.backgrounds import PhotoBackdrop
from star_pose.synthetic.body import REGIONS, BodyMesh, Build
from star_pose.synthetic.camera import Camera, film
from star_pose.synthetic.casting import choreograph
from star_pose.synthetic.labels import annotate_person, ignore_regions, visible_joints
from star_pose.synthetic.motions import MOTIONS
from star_pose.synthetic.props import Prop
from star_pose.synthetic.render import Light, draw, draw_owners, shade, view
from star_pose.synthetic.skeleton import CHANNELS, JOINTS, forward_kinematics, joint_index

ROOT = pathlib.Path(__file__).parents[1]
FPS = 30.0
MIRROR = [JOINTS.index(n.translate(str.maketrans('', '')).replace('left_', '§').replace(
    'right_', 'left_').replace('§', 'right_')) for n in JOINTS]  # fmt: skip


def options(**changes):
    fields = {'frames': 8, 'size': (192, 108), 'people': 2}
    fields.update({k: v for k, v in changes.items() if k in {'frames', 'size', 'people', 'motion',
                                                            'photographs', 'ears'}})  # fmt: skip
    rest = {k: v for k, v in changes.items() if k not in fields}
    return DatasetOptions(**{'videos': 3, 'seed': 5, 'scene': SceneOptions(**fields), **rest})


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp('synthetic') / 'data'
    counts = make_dataset(root, options(), workers=1)
    return root, counts


def files(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob('*') if p.is_file()}


def pose(name='walk', frames=60, seed=0, stature=1.7, yaw=0.0):
    channels, _ = choreograph(frames, FPS, np.random.default_rng(seed), (name,))
    joints = forward_kinematics(channels, stature, FPS)
    c, s = np.cos(yaw), np.sin(yaw)
    return joints @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


def front_camera(joints, size=(240, 240)):
    """A camera in front of the figure (it faces +z), level with the middle of its body."""
    position = joints[0] + np.array([0, 0.9 - joints[0, 1], 6.0])
    return Camera(position, np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]), 600.0, size)


LIGHT = Light.random(np.random.default_rng(0))


def surface(mesh, joints, number=0, colour=None):
    colour = np.full((len(mesh.quads), 3), 128.0, np.float32) if colour is None else colour
    none = np.zeros(len(mesh.quads), np.float32)
    return shade(mesh.vertices(joints[None]), mesh.quads, colour, none, number, LIGHT)


# --- files ------------------------------------------------------------------------------------


def test_bytes_do_not_depend_on_the_number_of_workers(dataset, tmp_path):
    make_dataset(tmp_path / 'two', options(), workers=2)
    assert files(tmp_path / 'two') == files(dataset[0])


def test_workers_are_no_forks_of_a_process_that_may_have_threads(tmp_path, monkeypatch):
    def unusable(*args, **kwargs):
        raise AssertionError('a fork of this process draws')

    monkeypatch.setattr(cv2, 'fillConvexPoly', unusable)
    made = make_dataset(tmp_path, options(videos=2, val_videos=1, frames=2), workers=2)
    assert made['train']['videos'] == made['val']['videos'] == 1


def test_another_seed_gives_other_images(dataset, tmp_path):
    make_dataset(tmp_path / 'other', options(seed=6, videos=1, val_videos=0, frames=2))
    name = 'images/train/000001_mpii_train/000000.jpg'
    assert (tmp_path / 'other' / name).read_bytes() != (dataset[0] / name).read_bytes()


def test_a_video_is_the_same_whatever_the_number_of_videos(dataset, tmp_path):
    make_dataset(tmp_path / 'one', options(videos=1, val_videos=0))
    name = 'images/train/000001_mpii_train/000003.jpg'
    assert (tmp_path / 'one' / name).read_bytes() == (dataset[0] / name).read_bytes()


def test_folders_and_counts_are_as_announced(dataset):
    root, counts = dataset
    assert counts['train']['videos'] == 2
    assert counts['val']['videos'] == 1
    for split, name, count in (('train', '000002_mpii_train', 8), ('val', '000003_mpii_test', 8)):
        images = sorted((root / 'images' / split / name).iterdir())
        assert [p.name for p in images] == [f'{i:06d}.jpg' for i in range(count)]
        assert cv2.imread(str(images[0])).shape == (108, 192, 3)
        assert len(list((root / 'mask' / split / name).iterdir())) == count
    merged = json.loads((root / 'annotations/posetrack18_train.json').read_text())
    assert len(merged['images']) == counts['train']['frames'] == 16
    assert len(merged['annotations']) == counts['train']['persons']
    assert not root.with_name('data.partial').exists()


def test_merged_file_is_the_per_video_files_joined(dataset):
    root, _ = dataset
    merged = json.loads((root / 'annotations/posetrack18_train.json').read_text())
    parts = [json.loads(p.read_text()) for p in sorted((root / 'annotations/train').iterdir())]
    for key in ('images', 'annotations'):
        assert merged[key] == [entry for part in parts for entry in part[key]]


def test_ids_and_digits_follow_posetrack18(dataset):
    root, _ = dataset
    labels = json.loads((root / 'annotations/val/000003_mpii_test.json').read_text())
    for frame, image in enumerate(labels['images']):
        assert image['id'] == image['frame_id'] == int(f'1000003{frame:04d}')
        assert image['file_name'] == f'images/val/000003_mpii_test/{frame:06d}.jpg'
        assert (root / image['file_name']).is_file()
        assert (root / image['mask_file']).is_file()
        assert image['nframes'] == 8
    for entry in labels['annotations']:
        assert entry['id'] == entry['image_id'] * 100 + entry['track_id']
        assert len(entry['keypoints']) == 51
        assert entry['num_keypoints'] == sum(v == 1 for v in entry['keypoints'][2::3])
    labelled = {i['id'] for i in labels['images'] if i['is_labeled']}
    assert {a['image_id'] for a in labels['annotations']} <= labelled
    assert len(labelled) < 8


def _types(value):
    if isinstance(value, dict):
        return {k: _types(v) for k, v in value.items()}
    if isinstance(value, list):
        return 'list'
    return 'number' if isinstance(value, (int, float)) and value is not True else type(value)


def test_form_equals_the_official_file(dataset, shared_data):
    base = shared_data / 'mmpose_samples/posetrack18/annotations'
    for real_name, our_name in (
        ('val/012834_mpii_test.json', 'val/000003_mpii_test.json'),
        ('test_posetrack18_val.json', 'posetrack18_val.json'),
    ):
        real = json.loads((base / real_name).read_text())
        ours = json.loads((dataset[0] / 'annotations' / our_name).read_text())
        assert list(ours) == list(real)
        assert ours['categories'] == real['categories']
        labelled = next(i for i in ours['images'] if i['is_labeled'])
        assert list(labelled) == list(real['images'][0])
        assert _types(labelled) == _types(real['images'][0])
        assert list(ours['annotations'][0]) == list(real['annotations'][0])
        assert _types(ours['annotations'][0]) == _types(real['annotations'][0])
        for entry in real['annotations']:  # the id rule that the other test holds us to
            assert entry['id'] == entry['image_id'] * 100 + entry['track_id']
    real = json.loads((base / 'test_posetrack18_human_detections.json').read_text())
    name = 'posetrack18_val_human_detections.json'
    ours = json.loads((dataset[0] / 'annotations' / name).read_text())
    assert {k for d in ours for k in d} == set(real[0])


def test_boxes_are_made_as_in_the_official_file(shared_data):
    path = shared_data / 'mmpose_samples/posetrack18/annotations/test_posetrack18_val.json'
    for entry in json.loads(path.read_text())['annotations']:
        points = np.array(entry['keypoints']).reshape(-1, 3)
        if entry['bbox'][1] < 0 or entry['num_keypoints'] < 13:
            continue  # the official boxes also span unlabelled points there
        ours = annotate_person(points[:, :2], points[:, 2] > 0, entry['bbox_head'], 0, 1, False)
        np.testing.assert_allclose(ours['bbox'], entry['bbox'], atol=0.01)


def test_xtcocotools_and_mmpose_load_it(dataset):
    from mmpose.datasets import PoseTrack18Dataset

    root, counts = dataset
    coco = COCO(str(root / 'annotations/posetrack18_train.json'))
    assert len(coco.getImgIds()) == counts['train']['frames']
    assert len(coco.getAnnIds()) == counts['train']['persons']
    stock = PoseTrack18Dataset(
        data_root=str(root), ann_file='annotations/posetrack18_train.json', data_prefix={'img': ''}
    )
    assert len(stock) == counts['train']['persons']


@pytest.mark.parametrize('train', [True, False])
def test_labelled_frames_are_chosen_as_posetrack_chooses_them(train):
    chosen = labelled_frames(options(frames=100), train)
    expected = set(range(35, 65)) | (set() if train else set(range(0, 100, 4)))
    assert chosen == expected
    assert labelled_frames(options(frames=100, dense=True), train) == set(range(100))


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'videos': 0, 'val_videos': 0}, 'videos must be between 1'),
        ({'frames': 0}, 'frames must be between 1 and 10000, got 0'),
        ({'frames': 10001}, 'got 10001'),
        ({'size': (32, 108)}, 'width must be between 64'),
        ({'size': (193, 108)}, 'must be even, got 193x108'),
        ({'people': 91}, 'people must be between 1 and 90'),
        ({'people': 0}, 'people must be between 1'),
        ({'val_videos': 4}, 'val_videos must be between 0 and 3'),
        ({'seed': -1}, 'seed must be'),
    ],
)
def test_impossible_numbers_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        options(**change)


def test_a_folder_with_files_is_never_overwritten(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    for overwrite in (False, True):
        with pytest.raises(FileExistsError):
            make_dataset(tmp_path, options(), overwrite=overwrite)
    assert files(tmp_path) == {(tmp_path / 'thesis.txt').relative_to(tmp_path): b'mine'}


def test_overwriting_replaces_an_own_data_set_only_when_the_new_one_is_complete(
    tmp_path, monkeypatch
):
    small = options(videos=1, val_videos=0, frames=2, size=(64, 64))
    root = tmp_path / 'data'
    make_dataset(root, small)
    before = files(root)
    with pytest.raises(FileExistsError, match='not empty'):
        make_dataset(root, small)
    other = dataclasses.replace(small, seed=9)
    with monkeypatch.context() as patch:
        patch.setattr(writer_module, '_write_merged', lambda *_: (_ for _ in ()).throw(OSError()))
        with pytest.raises(OSError):  # noqa: PT011 (the very error that was thrown)
            make_dataset(root, other, overwrite=True)
    assert files(root) == before
    assert list(tmp_path.iterdir()) == [root]
    make_dataset(root, other, overwrite=True)
    assert files(root) != before


def test_a_bad_motion_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.npz'):
        MotionLibrary(tmp_path / 'none.npz')
    (tmp_path / 'text.npz').write_text('no archive')
    with pytest.raises(ValueError, match=r'text\.npz is not a readable npz'):
        MotionLibrary(tmp_path / 'text.npz')
    np.savez(tmp_path / 'empty.npz', names=np.array(['root']))
    with pytest.raises(ValueError, match='at least one trial'):
        MotionLibrary(tmp_path / 'empty.npz')
    np.savez(tmp_path / 'few.npz', names=np.array(['root']), a=np.zeros((9, 1, 3)))
    with pytest.raises(ValueError, match='lacks the joints'):
        MotionLibrary(tmp_path / 'few.npz')


def test_a_bad_background_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        list_photographs(tmp_path / 'nowhere')
    with pytest.raises(ValueError, match='holds no image'):
        list_photographs(tmp_path)
    (tmp_path / 'broken.jpg').write_bytes(b'not a picture')
    scene = SceneOptions(2, (64, 64), photographs=tuple(list_photographs(tmp_path)))
    with pytest.raises(ValueError, match=r'broken\.jpg is not a readable image'):
        Scene(scene, np.random.default_rng(0))


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    path = ROOT / 'tools/make_synthetic_posetrack.py'
    spec = importlib.util.spec_from_file_location('make_synthetic_posetrack', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_commands_of_the_guide_are_understood(tool):
    guide = (ROOT / 'docs/synthetic.md').read_text()
    commands = re.findall(r'^python tools/make_synthetic_posetrack\.py (.*)$', guide, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        args = tool.parse_args(shlex.split(command))
        assert args.videos > 0


def test_the_python_example_of_the_guide_runs():
    guide = (ROOT / 'docs/synthetic.md').read_text()
    (code,) = re.findall(r'```python\n(.*?)```', guide, re.DOTALL)
    code = code.replace('30', '2').replace('(640, 360)', '(96, 64)')  # the same, but quicker
    names = {}
    exec(code, names)
    assert names['frame'].image.shape == (64, 96, 3)


def test_the_tool_reports_a_user_error_in_one_line(tool, tmp_path, capsys):
    (tmp_path / 'x').write_text('')
    size = ['--videos', '1', '--frames', '2', '--size', '64x64', '--workers', '1']
    assert tool.main(['--out', str(tmp_path), *size]) == 2
    assert capsys.readouterr().err.startswith(f'error: {tmp_path} is not empty')
    sheet = tmp_path / 'sheet.jpg'
    assert tool.main(['--out', str(tmp_path / 'y'), *size, '--contact-sheet', str(sheet)]) == 0
    assert 'train: 1 videos, 2 frames, 2 labelled frames' in capsys.readouterr().out
    assert cv2.imread(str(sheet)) is not None
    with pytest.raises(SystemExit):
        tool.main(['--out', 'z', '--videos', '1', '--frames', '2', '--size', '640'])
    assert "size must be WxH, such as 640x360, got '640'" in capsys.readouterr().err


# --- figures ----------------------------------------------------------------------------------


@pytest.mark.parametrize('name', sorted(MOTIONS))
def test_bones_keep_their_length_and_feet_stay_on_the_ground(name):
    joints = pose(name, 90, seed=3)
    for a, b, share in (
        ('left_hip', 'left_knee', 0.242), ('right_knee', 'right_ankle', 0.240),
        ('left_shoulder', 'left_elbow', 0.176), ('right_elbow', 'right_wrist', 0.148),
        ('head_bottom', 'head_top', None),
    ):  # fmt: skip
        i, j = joint_index(a, b)
        length = np.linalg.norm(joints[:, i] - joints[:, j], axis=-1)
        np.testing.assert_allclose(length, share * 1.7 if share else length[0], atol=1e-6)
    assert joints[..., 1].min() > -0.005
    assert np.isfinite(joints).all()
    assert np.abs(np.diff(joints, axis=0)).max() * FPS < 15  # metres a second


def test_the_carrying_foot_of_a_walker_does_not_slide():
    joints = pose('walk', 120, seed=1)
    left = joints[:, joint_index('left_heel', 'left_toe')]
    right = joints[:, joint_index('right_heel', 'right_toe')]
    # one sole flat on the ground, the other in the air
    alone = (left[..., 1].max(axis=1) < 0.035) & (right[..., 1].min(axis=1) > 0.025)
    step = np.linalg.norm(np.diff(left.mean(axis=1)[:, [0, 2]], axis=0), axis=1)
    alone = alone[1:] & alone[:-1]
    assert alone.sum() >= 8
    travelled = np.linalg.norm(joints[-1, 0] - joints[0, 0])
    assert 2.0 < travelled < 8.0
    assert np.median(step[alone]) < 0.2 * travelled / 120
    other = np.linalg.norm(np.diff(right.mean(axis=1)[:, [0, 2]], axis=0), axis=1)
    assert np.median(other[alone]) > travelled / 120  # the swinging foot overtakes the body


def test_joints_lie_inside_the_limbs_of_the_mesh():
    mesh = BodyMesh(Build(), 1.0)
    for name in ('run', 'throw', 'sit'):
        joints = pose(name, 40, seed=2)[[5, 20, 35]].astype(np.float32)
        vertices = mesh.vertices(joints)
        for limb, at in (('left_arm', 'left_elbow'), ('right_leg', 'right_knee')):
            ring = mesh.quads[(mesh.region == REGIONS.index(limb)) & (abs(mesh.station - 1) < 0.12)]
            centre = vertices[:, np.unique(ring)].mean(axis=1)
            distance = np.linalg.norm(centre - joints[:, joint_index(at)[0]], axis=-1)
            assert distance.max() < 0.04
        face = mesh.quads[mesh.region == REGIONS.index('face')]
        nose = joints[:, joint_index('nose')[0], None]
        tip = np.linalg.norm(vertices[:, np.unique(face)] - nose, axis=-1).min(axis=1)
        assert tip.max() < 0.015


def test_no_part_is_detached():
    # neighbouring parts overlap: the end of each lies within the thickness of the next
    mesh = BodyMesh(Build(sleeve=0.0), 1.0)
    for name in MOTIONS:
        vertices = mesh.vertices(pose(name, 60, seed=4)[::12].astype(np.float32))
        by_region = {r: vertices[:, np.unique(mesh.quads[mesh.region == i])]
                     for i, r in enumerate(REGIONS) if (mesh.region == i).any()}  # fmt: skip
        for a, b in (('head', 'torso'), ('left_arm', 'torso'), ('right_leg', 'torso'),
                     ('left_hand', 'left_arm'), ('right_foot', 'right_leg')):  # fmt: skip
            gap = np.linalg.norm(by_region[a][:, :, None] - by_region[b][:, None], axis=-1)
            assert gap.min(axis=(1, 2)).max() < 0.03, (name, a, b)


def test_outer_sides_of_quads_face_outwards():
    mesh = BodyMesh(Build(), 1.0)
    vertices = mesh.vertices(pose('stand', 2)[:1].astype(np.float32))[0]
    for region in ('torso', 'head', 'left_arm', 'right_arm', 'left_leg', 'right_foot'):
        quads = mesh.quads[mesh.region == REGIONS.index(region)]
        a, b, c, d = (vertices[quads[:, i]] for i in range(4))
        # the divergence theorem: a closed surface with outward normals has positive volume
        normal = np.cross(c - a, d - b) / 2
        centre = (a + b + c + d) / 4 - vertices[np.unique(quads)].mean(axis=0)
        assert (normal * centre).sum() / 3 > 1e-4, region


def test_a_mirrored_pose_gives_the_mirrored_silhouette():
    joints = pose('throw', 40, seed=5)[25]
    mirrored = (joints * (-1, 1, 1))[MIRROR]
    mesh = BodyMesh(Build(hair='short'), 1.0)
    masks = []
    for j in (joints - joints[0] * (1, 0, 0), mirrored - mirrored[0] * (1, 0, 0)):
        camera = front_camera(np.array([[0, 0.9, 0]]))
        owners = draw_owners(view([surface(mesh, j.astype(np.float32))], 0, camera), camera.size)
        masks.append(owners >= 0)
    different = (masks[0] != masks[1][:, ::-1]).sum()
    assert different < 0.04 * masks[0].sum()


def test_left_is_left_and_right_is_right():
    joints = pose('stand', 2)[0]
    camera = front_camera(joints)
    pixels, _ = camera.project(joints)
    for part in ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle', 'ear'):
        left, right = joint_index(f'left_{part}', f'right_{part}')
        assert pixels[left, 0] > pixels[right, 0] + 3  # facing the camera
    assert pixels[joint_index('nose')[0], 1] < pixels[joint_index('left_hip')[0], 1]
    back = joints @ np.diag([-1.0, 1, -1])  # turned around
    pixels, _ = front_camera(back).project(back)
    left, right = joint_index('left_hip', 'right_hip')
    assert pixels[left, 0] < pixels[right, 0]


def test_the_pixel_at_a_joint_shows_that_limb():
    # paint the left arm red and the right leg green, and look at the rendered picture
    joints = pose('stand', 2)[0].astype(np.float32)
    mesh, camera = BodyMesh(Build(), 1.0), front_camera(joints)
    colour = np.full((len(mesh.quads), 3), 90.0, np.float32)
    for region, bgr in (('left_arm', (0, 0, 250)), ('left_hand', (0, 0, 250)),
                        ('right_leg', (0, 250, 0)), ('right_foot', (0, 250, 0))):  # fmt: skip
        colour[mesh.region == REGIONS.index(region)] = bgr
    canvas = np.zeros((480, 480, 3), np.uint8)
    draw(canvas, view([surface(mesh, joints, colour=colour)], 0, camera))
    image = cv2.resize(canvas, (240, 240), interpolation=cv2.INTER_AREA)
    pixels, _ = camera.project(joints)
    for name, channel in (('left_elbow', 2), ('left_wrist', 2), ('right_knee', 1),
                          ('right_ankle', 1)):  # fmt: skip
        x, y = np.rint(pixels[joint_index(name)[0]]).astype(int)
        shown = image[y, x].astype(int)
        assert shown.argmax() == channel, name
        assert shown[channel] > 3 * np.delete(shown, channel).max(), name
        other = name.replace('left', 'x').replace('right', 'left').replace('x', 'right')
        x, y = np.rint(pixels[joint_index(other)[0]]).astype(int)
        assert np.ptp(image[y, x].astype(int)) < 30, other


def test_labelled_joints_show_the_own_body():
    scene = Scene(SceneOptions(6, (320, 180), 2), np.random.default_rng(8))
    for frame in scene.frames({3}, list(range(6))):
        for entry in frame.annotations:
            points = np.array(entry['keypoints']).reshape(-1, 3)
            seen = points[points[:, 2] > 0]
            assert (seen[:, :2] >= 0).all()
            assert (seen[:, :2] <= (319, 179)).all()


# --- visibility -------------------------------------------------------------------------------


def look(joints, props=()):
    """Labelled joints by name, for a figure and boards in front of it."""
    mesh, camera = BodyMesh(Build(stature=1.7), 1.0), front_camera(joints)
    surfaces = [surface(mesh, joints.astype(np.float32))]
    for number, prop in enumerate(props, 1):
        none = np.zeros(len(prop.quads), np.float32)
        vertices = prop.vertices[None]
        surfaces.append(shade(vertices, prop.quads, prop.colour, none, number, LIGHT))
    scene = view(surfaces, 0, camera)
    owners = draw_owners(scene, camera.size)
    _, labelled = visible_joints(joints, 0, mesh.region, scene, owners, camera, 1.7)
    return {n for n, seen in zip(KEYPOINTS, labelled, strict=True) if seen}


def board(low, high, z):
    (x0, y0), (x1, y1) = low, high
    vertices = np.array([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], np.float32)
    return Prop(vertices, np.array([[0, 1, 2, 3]]), np.full((1, 3), 80.0, np.float32))


def test_a_person_in_full_view_is_labelled_completely():
    assert look(pose('stand', 2)[0]) == set(KEYPOINTS)


def test_a_board_hides_the_joints_behind_it_and_only_those():
    joints = pose('stand', 2)[0]
    in_front = look(joints, [board((-1, 0.0), (1, 0.65), 1.0)])
    assert set(KEYPOINTS) - in_front == {
        'left_knee', 'right_knee', 'left_ankle', 'right_ankle',
    }  # fmt: skip
    behind = look(joints, [board((-1, 0.0), (1, 0.65), -1.0)])
    assert behind == set(KEYPOINTS)


def test_from_behind_the_face_is_not_labelled_but_the_limbs_are():
    away = look(pose('stand', 2)[0] @ np.diag([-1.0, 1, -1]))
    assert 'nose' not in away
    assert away >= {'head_top', 'head_bottom', 'left_shoulder', 'right_hip', 'left_knee'}


def test_from_the_side_the_far_arm_is_hidden_and_shoulder_and_hip_are_placed():
    joints = pose('stand', 2, yaw=np.pi / 2)[0]
    seen = look(joints - joints[0] * (1, 0, 1))
    assert {'left_shoulder', 'right_shoulder', 'left_hip', 'right_hip'} <= seen
    assert 'right_elbow' in seen
    assert 'left_elbow' not in seen


def test_joints_outside_the_image_are_not_labelled():
    joints = pose('stand', 2)[0]
    shifted = front_camera(joints)
    camera = dataclasses.replace(shifted, position=shifted.position + np.array([0, 0.9, 0]))
    mesh = BodyMesh(Build(stature=1.7), 1.0)
    scene = view([surface(mesh, joints.astype(np.float32))], 0, camera)
    owners = draw_owners(scene, camera.size)
    pixels, labelled = visible_joints(joints, 0, mesh.region, scene, owners, camera, 1.7)
    inside = (pixels >= 0).all(1) & (pixels <= 239).all(1)
    assert labelled.sum() == inside.sum() < 17


def test_ears_are_labelled_on_request_only():
    pixels = np.arange(34.0).reshape(17, 2)
    labelled = np.ones(17, bool)
    for ears, count in ((False, 15), (True, 17)):
        entry = annotate_person(pixels, labelled, [0, 0, 1, 1], 0, 1, ears)
        assert entry['num_keypoints'] == count
        assert entry['keypoints'][9:15] == ([6.0, 7.0, 1, 8.0, 9.0, 1] if ears else [0] * 6)


def test_ignored_people_have_no_label_and_a_white_mask():
    shown = covered = 0
    for seed in range(40):
        scene = Scene(SceneOptions(3, (320, 180), 2), np.random.default_rng(seed))
        crowd = [n for n, f in enumerate(scene.figures) if not f.labelled]
        if shown > 5:
            break
        if not crowd:
            continue
        frame = list(scene.frames({1}, [10, 11, 12]))[1]
        assert {a['track_id'] for a in frame.annotations}.isdisjoint(crowd)
        for x, y in zip(frame.ignore_x, frame.ignore_y, strict=True):
            assert len(x) == len(y) >= 3
            assert all(type(v) is int for v in x + y)
        mask = writer_module._mask(frame)
        camera = scene.cameras[1 * 5 + 2]
        for number in crowd:
            (pixel,), _ = camera.project(scene.figures[number].joints[1, joint_index('spine')])
            x, y = np.rint(pixel).astype(int)
            if 0 <= x < 320 and 0 <= y < 180:
                shown, covered = shown + 1, covered + (mask[y, x] == 255)
    assert shown > 5
    assert covered > 0.6 * shown  # the others stand behind somebody


def test_ignore_regions_spare_labelled_people_even_inside_a_crowd():
    shown = np.full((60, 80), -1)
    shown[10:50, 20:60] = 3  # a crowd
    shown[20:40, 35:45] = 0  # somebody labelled in front of it
    ignore_x, ignore_y = ignore_regions(shown, [3], [0], 2)
    polygons = [np.stack([x, y], 1) for x, y in zip(ignore_x, ignore_y, strict=True)]
    inside = np.array([[max(cv2.pointPolygonTest(p.astype(np.int32), (float(x), float(y)), False)
                            for p in polygons) for x in range(80)] for y in range(60)])  # fmt: skip
    assert (inside[shown == 0] <= 0).all()
    assert (inside[shown == 3] > 0).mean() > 0.8
    assert (inside[:6] < 0).all()
    assert ignore_regions(shown, [], [0], 2) == ([], [])


# --- camera, backgrounds, motion capture ------------------------------------------------------


def cameras(seed=0):
    times = np.arange(30) / FPS
    subject = np.tile([0, 0.9, 0], (30, 1))
    return film(times, subject, (320, 180), 60.0, np.random.default_rng(seed))


def test_a_plane_homography_agrees_with_projection():
    camera = cameras()[4]
    origin, u, v = np.array([-2.0, 0, -5]), np.array([0.1, 0, 0]), np.array([0, 0, 0.2])
    plane = camera.plane_homography(origin, u, v)
    for a, b in ((0, 0), (10, 3), (25.5, 20)):
        x, y, w = plane @ (a, b, 1)
        (pixel,), _ = camera.project((origin + a * u + b * v)[None])
        np.testing.assert_allclose((x / w, y / w), pixel, atol=1e-6)


def test_the_camera_moves_smoothly_and_by_fractions_of_a_pixel():
    moved = 0
    for seed in range(8):
        pixels = np.array([c.project(np.array([[0.3, 1.2, 0.1]]))[0][0] for c in cameras(seed)])
        step = np.abs(np.diff(pixels, axis=0)).max(axis=1)
        jerk = np.abs(np.diff(pixels, 2, axis=0)).max()
        assert jerk < 3
        moved += bool((step > 0.02).any() and (step % 1 > 0.02).any())
    assert moved > 2


def test_a_photograph_fills_every_view():
    rng = np.random.default_rng(0)
    for seed in range(6):
        views = cameras(seed)
        photograph = np.full((300, 400, 3), 200, np.uint8)
        photograph[[0, -1]], photograph[:, [0, -1]] = 0, 0  # the border would show as black
        backdrop = PhotoBackdrop(rng, photograph, 8.0, views)
        for camera in (views[0], views[-1]):
            middle = backdrop.render(camera)[8:-8, 8:-8]
            assert middle.min() > 150


def cmu_file(path, frames=50):
    """A motion file in the CMU form: a standing figure that drifts to its left."""
    joints = pose('stand', frames, seed=1)
    names = {
        'root': 'pelvis', 'lowerback': 'spine', 'upperback': 'chest', 'lowerneck': 'neck',
        'upperneck': 'head_bottom', 'head': 'head_top', 'lclavicle': 'left_shoulder',
        'rclavicle': 'right_shoulder', 'lhumerus': 'left_elbow', 'rhumerus': 'right_elbow',
        'lradius': 'left_wrist', 'rradius': 'right_wrist', 'lhipjoint': 'left_hip',
        'rhipjoint': 'right_hip', 'lfemur': 'left_knee', 'rfemur': 'right_knee',
        'ltibia': 'left_ankle', 'rtibia': 'right_ankle', 'ltoes': 'left_toe',
        'rtoes': 'right_toe', 'lfingers': 'left_hand', 'rfingers': 'right_hand',
    }  # fmt: skip
    trial = joints[:, joint_index(*names.values())] + (0, 0.2, 0)
    trial[..., 0] += np.linspace(0, 1, frames)[:, None]
    np.savez(path, names=np.array(list(names)), trial=trial.astype(np.float32))
    return joints


def test_captured_motion_comes_back_joint_by_joint(tmp_path):
    original = cmu_file(tmp_path / 'motion.npz')
    window, name = MotionLibrary(tmp_path / 'motion.npz').window(50, 1.7, np.random.default_rng(0))
    assert name == 'trial'
    drift = np.linspace(0, 1, 50)[:, None]
    for joint in ('left_elbow', 'right_wrist', 'left_knee', 'right_ankle', 'head_bottom'):
        i = joint_index(joint)[0]
        expected = original[:, i] - original[0, 0] * (1, 0, 1) + drift * (1, 0, 0)
        np.testing.assert_allclose(
            window[:, i, [0, 2]], expected[:, [0, 2]], atol=0.012, err_msg=joint
        )
    assert abs(window[..., 1].min()) < 1e-6
    longer, _ = MotionLibrary(tmp_path / 'motion.npz').window(130, 1.2, np.random.default_rng(0))
    assert longer.shape == (130, len(JOINTS), 3)  # forwards and backwards


def test_lost_markers_are_not_used(tmp_path):
    cmu_file(tmp_path / 'motion.npz')
    with np.load(tmp_path / 'motion.npz') as archive:
        names, trial = archive['names'], archive['trial'].copy()
    trial[::5, 3] += 2.0
    np.savez(tmp_path / 'bad.npz', names=names, trial=trial)
    with pytest.raises(ValueError, match='no window of 20 frames without jumps'):
        MotionLibrary(tmp_path / 'bad.npz').window(20, 1.7, np.random.default_rng(0))


def test_real_motion_capture_drives_people(shared_data):
    library = MotionLibrary(shared_data / 'motion/cmu_positions_30fps.npz')
    assert len(library.trials) == 28
    scene = Scene(SceneOptions(4, (192, 108), 1, library), np.random.default_rng(1))
    figure = scene.figures[0]
    assert figure.motions[0] in library.trials
    lengths = np.linalg.norm(
        np.subtract(*(figure.joints[:, j] for j in joint_index('left_hip', 'left_knee'))), axis=-1
    )
    stature = figure.person.build.stature
    assert abs(lengths.mean() / stature - 0.242) < 0.02
    frames = list(scene.frames({2}, list(range(4))))
    assert any(a['num_keypoints'] > 8 for a in frames[2].annotations)


# --- pictures ---------------------------------------------------------------------------------


def test_moving_things_are_blurred_and_resting_things_are_not():
    scene = Scene(SceneOptions(4, (320, 180), 1), np.random.default_rng(3))
    scene.cameras = [scene.cameras[0]] * len(scene.cameras)
    resting = dataclasses.replace(scene.figures[0], joints=scene.figures[0].joints[:1].repeat(4, 0))
    scene.figures = [resting]
    assert [scene._exposure(f) for f in range(4)] == [[5 * f + 2] for f in range(4)]
    camera, times = scene.cameras[0], scene._times
    depth = camera.project(resting.joints[0, 0])[1]
    exposures = []
    for pixels in (0.5, 2.5, 20):  # that the figure moves along the camera's right in an exposure
        seconds = times[9] - times[5]
        speed = pixels * depth / camera.focal / (seconds * FPS)  # metres a frame
        drift = np.arange(4)[:, None, None] * speed * camera.rotation[0]
        moving = resting.joints + drift.astype(np.float32)
        scene.figures = [dataclasses.replace(resting, joints=moving)]
        exposures.append(scene._exposure(1))
    assert exposures == [[7], [5, 7, 9], [5, 6, 7, 8, 9]]


def test_contact_sheet_shows_every_video(dataset):
    sheet = contact_sheet(dataset[0], rows=3, columns=2, tile=(96, 54))
    assert sheet.shape == (162, 192, 3)
    # the last column carries the labels: it differs from the plain frame
    plain = cv2.imread(str(dataset[0] / 'images/train/000001_mpii_train/000006.jpg'))
    tile = cv2.resize(plain, (96, 54), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(sheet[:54, 96:] - tile).max() > 60


def test_clothes_follow_the_build():
    rng = np.random.default_rng(0)
    for _ in range(10):
        person = random_person(rng)
        mesh = BodyMesh(person.build, 0.6)
        colour = paint(person, mesh)
        assert colour.shape == (len(mesh.quads), 3)
        hand = colour[mesh.region == REGIONS.index('left_hand')]
        np.testing.assert_allclose(hand, np.tile(np.clip(person.skin, 0, 255), (len(hand), 1)))
        assert (REGIONS.index('skirt') in mesh.region) == (person.build.skirt > 0)


def test_channels_must_match():
    with pytest.raises(ValueError, match=f'must be \\(F, {len(CHANNELS)}\\)'):
        forward_kinematics(np.zeros((4, 3)), 1.7, FPS)
