"""Bad inputs of the video tool: none ends in a traceback, and none in a number that is wrong.

Each is right, or ends with one line that names the file, the field, the value and what to do.
"""

import functools
import importlib.util
import json
import os
import pathlib
import sys

import av
import cv2
import numpy as np
import pytest
import torch

from star_pose.apis.box_file import FileBoxes
from star_pose.apis.video_writer import VideoWriter
from star_pose.datasets.frames import video_file
from tiny_runs import REPO

SIZE, FRAMES, RATE = (192, 144), 8, 25
BOX = ('--box', 60, 20, 110, 130)
LIGHTNING = REPO / 'configs' / 'movenet' / 'movenet-lightning_256x192_coco.py'
WEIGHTS = REPO / 'projects' / 'star_pose' / 'weights' / 'movenet-lightning.pth'
OTHER_WEIGHTS = WEIGHTS.with_name('movenet-thunder.pth')
MODEL = ('--model', 'movenet-lightning')


@pytest.fixture(scope='module')
def tool():
    """The tool's module, whose runs share the model where they ask for the same one."""
    path = REPO / 'tools' / 'infer_video.py'
    spec = importlib.util.spec_from_file_location('tool_infer_video', path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    load, models = module.load_model, {}

    def load_once(args, device):
        key = (args.model, str(args.config), str(args.checkpoint), device, str(args.cfg_options))
        if key not in models:
            models[key] = load(args, device)
        return models[key]

    module.load_model = load_once
    return module


def frame(index: int) -> np.ndarray:
    """A figure that moves, (h, w, 3) uint8 BGR."""
    image = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    x = 80 + 2 * index
    cv2.circle(image, (x, 35), 9, (120, 160, 220), -1)
    cv2.rectangle(image, (x - 13, 45), (x + 13, 85), (40, 40, 160), -1)
    cv2.rectangle(image, (x - 10, 85), (x + 10, 125), (120, 50, 20), -1)
    return image


def write_video(path, times=None, rate=RATE):
    with VideoWriter(path, rate=rate, crf=8) as writer:
        for index in range(FRAMES):
            writer.write(frame(index)[..., ::-1], None if times is None else times[index])


def write_avi(path):
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mjpeg', rate=RATE)
        stream.width, stream.height = SIZE
        stream.pix_fmt = 'yuvj420p'
        for index in range(FRAMES):
            picture = av.VideoFrame.from_ndarray(frame(index), format='bgr24')
            container.mux(stream.encode(picture.reformat(format='yuvj420p')))
        container.mux(stream.encode())


def write_folder(path, change=lambda index, image: image, skipped=()):
    path.mkdir()
    for index in range(FRAMES):
        if index not in skipped:
            cv2.imwrite(str(path / f'{index:06d}.png'), change(index, frame(index)))


@pytest.fixture(scope='module')
def films(tmp_path_factory):
    """What cannot be told apart from tests that came before: films, written once."""
    root = tmp_path_factory.mktemp('films')
    write_video(root / 'good.mp4')
    write_avi(root / 'good.avi')
    return root


@pytest.fixture
def folder(tmp_path, films, monkeypatch):
    """The working folder, with a good film in it."""
    (tmp_path / 'good.mp4').write_bytes((films / 'good.mp4').read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(tool, *line):
    """Run the tool; its exit code."""
    common = ['--backend', 'torch']
    common += [] if '--device' in line else ['--device', 'cpu']
    common += [] if '--evidence' in line else ['--evidence', '0']
    with pytest.raises(SystemExit) as stop:
        tool.main([*map(str, line), *common])
    return stop.value.code or 0


def poses(path) -> np.ndarray:
    """Joints of all people of a file, (P, K, 2)."""
    content = json.loads(pathlib.Path(path).read_text())
    return np.array([a['keypoints'] for a in content['annotations']]).reshape(-1, 17, 3)[..., :2]


@functools.cache
def good_poses(tool, path):
    """What the tool finds in the good film, which all right answers are compared with."""
    assert run(tool, path, *MODEL, *BOX, '--no-video', '--out-json', f'{path}.json') == 0
    return poses(f'{path}.json')


def complaint(capsys) -> str:
    """What was said: in words, and not by a traceback."""
    said = capsys.readouterr().err
    assert 'Traceback' not in said
    said = [line for line in said.splitlines() if line.strip() and not line.startswith('usage')]
    assert said, 'something must be said'
    return '\n'.join(said)


# Films and pictures


def zero_film(folder, films):
    (folder / 'bad.mp4').write_bytes(b'')


def cut_film(folder, films):
    content = (films / 'good.mp4').read_bytes()
    (folder / 'bad.mp4').write_bytes(content[: len(content) // 2])


def text_film(folder, films):
    (folder / 'bad.mp4').write_text('this is no film')


def nothing(folder, films):
    pass


def empty_folder(folder, films):
    (folder / 'bad.mp4').mkdir()


@pytest.mark.parametrize('make', [zero_film, cut_film, text_film, nothing, empty_folder])
def test_what_is_no_film_is_refused(tool, folder, films, capsys, make):
    make(folder, films)
    before = sorted(os.listdir())
    assert run(tool, 'bad.mp4', *MODEL, *BOX) == 1
    assert 'bad.mp4' in complaint(capsys)
    assert sorted(os.listdir()) == before, 'nothing was written'


def test_a_film_that_was_cut_off_gives_what_it_holds_and_says_so(tool, folder, films, monkeypatch):
    said = []
    monkeypatch.setattr(video_file, 'print_log', lambda text, *_: said.append(text))
    content = (films / 'good.avi').read_bytes()
    (folder / 'cut.avi').write_bytes(content[: len(content) * 2 // 3])
    code = run(tool, 'cut.avi', *MODEL, *BOX, '--no-video')
    found = poses('cut.poses.json')
    assert 1 < len(found) < FRAMES
    assert np.median(np.abs(found - good_poses(tool, films / 'good.mp4')[: len(found)])) < 5
    assert code == 0
    wanted = f'cut.avi: its header says {FRAMES} frames, {len(found)} can be decoded'
    assert any(text.startswith(wanted) for text in said)


def test_frames_behind_damage_are_counted_and_marked_as_guessed(tool, folder, films, capsys):
    content = bytearray((films / 'good.mp4').read_bytes())
    with av.open(str(films / 'good.mp4')) as container:
        third = [packet for packet in container.demux(video=0) if packet.size][2]
        content[third.pos : third.pos + third.size] = bytes(third.size)
    (folder / 'torn.mp4').write_bytes(content)
    assert run(tool, 'torn.mp4', *MODEL, *BOX, '--no-video') == 3
    images = json.loads((folder / 'torn.poses.json').read_text())['images']
    guessed = [image['id'] for image in images if not image.get('certain', True)]
    assert 0 < len(guessed) < len(images) < FRAMES
    assert f'the numbers of {len(guessed)} frames behind are a guess' in complaint(capsys)


def test_pictures_that_cannot_be_read_are_named(tool, folder, capsys):
    write_folder(folder / 'walk')
    whole = (folder / 'walk' / '000003.png').read_bytes()
    for content in (b'', whole[: len(whole) // 2], b'text'):
        (folder / 'walk' / '000003.png').write_bytes(content)
        assert run(tool, 'walk', *MODEL, *BOX, '--no-video', '--overwrite') == 3
        assert '000003.png' in complaint(capsys)
        ids = [i['id'] for i in json.loads((folder / 'walk.poses.json').read_text())['images']]
        assert ids == [0, 1, 2, 4, 5, 6, 7]


def grey(index, image):
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def transparent(index, image):
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


def deep(index, image):
    return image.astype(np.uint16) * 257


@pytest.mark.parametrize(('change', 'allowed'), [(grey, 25), (transparent, 3), (deep, 3)])
def test_pictures_of_other_depths_give_the_same_poses(tool, folder, films, change, allowed):
    write_folder(folder / 'walk', change)
    assert run(tool, 'walk', *MODEL, *BOX, '--no-video') == 0
    wanted = good_poses(tool, films / 'good.mp4')
    assert np.median(np.abs(poses('walk.poses.json') - wanted)) < allowed


def test_pictures_of_several_sizes_keep_their_sizes(tool, folder):
    write_folder(folder / 'walk', lambda n, i: i if n != 2 else cv2.resize(i, None, fx=2, fy=2))
    assert run(tool, 'walk', *MODEL, *BOX) == 0
    content = json.loads((folder / 'walk.poses.json').read_text())
    assert [i['width'] for i in content['images']] == [192, 192, 384, *[192] * 5]


def test_a_missing_picture_and_one_of_a_single_pixel_are_no_fault(tool, folder):
    write_folder(folder / 'gap', skipped=(3,))
    assert run(tool, 'gap', *MODEL, *BOX, '--no-video') == 0
    assert len(poses('gap.poses.json')) == FRAMES - 1
    cv2.imwrite('one.png', np.zeros((1, 1, 3), np.uint8))
    assert run(tool, 'one.png', *MODEL, '--no-video') == 0
    assert len(poses('one.poses.json')) == 0


def test_a_drawn_film_lasts_as_long_as_its_source(tool, folder):
    times = [0, 0.04, 0.08, 0.5, 0.54, 1.2, 1.24, 1.9]
    write_video('vfr.mp4', times)
    assert run(tool, 'vfr.mp4', *MODEL, *BOX) == 0
    shown = [i['time'] for i in json.loads((folder / 'vfr.poses.json').read_text())['images']]
    assert shown == pytest.approx(times, abs=1e-3)
    lengths = []
    for name in ('vfr.mp4', 'vfr.poses.mp4'):
        with av.open(name) as film:
            lengths.append(film.duration / av.time_base)
            stamps = [float(f.time) for f in film.decode(video=0)]
            assert stamps == pytest.approx(times, abs=1e-3)
    assert lengths[1] == pytest.approx(lengths[0], abs=1e-3)


# Boxes


@pytest.mark.parametrize(
    ('box', 'said'),
    [
        ((1000, 1000, 1040, 1080), 'outside frame 0, which is 192x144'),
        ((-50, -50, -10, -5), 'outside frame 0'),
        (('nan', 0, 10, 10), 'not finite'),
        ((0, 0, 'inf', 10), 'not finite'),
        ((100, 60, 100.01, 60.01), 'smaller than a pixel'),
        ((100, 60, 90, 80), 'empty'),
    ],
)
def test_boxes_that_hold_nobody_are_refused(tool, folder, capsys, box, said):
    assert run(tool, 'good.mp4', *MODEL, '--box', *box, '--no-video') == 1
    line = complaint(capsys)
    assert said in line
    assert 'box' in line


def labels(images=None, annotations=None, **more):
    images = [{'id': 0, 'file_name': 'good.mp4#0'}] if images is None else images
    annotations = (
        [{'image_id': 0, 'bbox': [60, 20, 50, 110]}] if annotations is None else annotations
    )
    return {'images': images, 'annotations': annotations, **more}


def listed(**change):
    return [{'image_id': 0, 'category_id': 1, 'bbox': [60, 20, 50, 110], 'score': 0.9, **change}]


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (listed(bbox=['abc', 0, 1, 1]), 'abc'),
        (listed(bbox=None), 'bbox None'),
        (listed(bbox=[float('nan'), 0, 10, 10]), 'nan'),
        (listed(bbox=[5, 5, -3, 4]), 'bbox [5, 5, -3, 4]'),
        (listed(bbox=[5, 5, 3]), 'bbox [5, 5, 3]'),
        (listed(bbox=[5, 5, 1e400, 3]), 'bbox [5, 5, inf, 3]'),
        (listed(bbox={'x': 1}), "bbox {'x': 1}"),
        (listed(score='high'), "score is 'high'"),
        (listed(score=[0.5]), 'score is [0.5]'),
        (listed(image_id=None), 'image_id is None'),
        (listed(image_id=[0]), 'image_id is [0]'),
        (listed(image_id='x'), "'x'"),
        (listed(image_id=FRAMES), 'count from 1: subtract 1'),
        (listed(image_id=-1), 'outside the video'),
        (listed(category_id=[1]), 'category_id'),
        (listed(category_id={}), 'category_id'),
        (listed(category_id=7), 'category_id'),
        (listed(score=0.1), 'no box with a score of 0.3'),
        (['text'], 'entry 0'),
        (labels(annotations='text'), "annotations is 'text'"),
        (labels(annotations=None) | {'images': None}, 'images is None'),
        (labels(annotations=['text']), 'entry 0 of annotations'),
        (labels(images=[{'id': 0, 'file_name': 'good.mp4#0'}, {'id': 0, 'file_name': 'b.mp4#1'}]),
         'id 0 is given to two images'),
        (labels(images=[{'id': 0, 'file_name': 'other.mp4#0'}]), 'good.mp4#0'),
        (labels(images=[{'id': 9, 'file_name': 'good.mp4#99'}]), 'good.mp4#99'),
        (labels(images=[{'id': [0], 'file_name': 'good.mp4#0'}]), 'id [0]'),
        (labels(images=[{'file_name': 'good.mp4#0'}]), 'id None'),
        (labels(categories=[{'id': 1, 'name': 'dog'}, {'id': 2, 'name': 'cat'}],
                annotations=[{'image_id': 0, 'category_id': 1, 'bbox': [1, 1, 9, 9]}]), 'dog'),
        (labels(categories=[{'id': [1], 'name': 'person'}],
                annotations=[{'image_id': 0, 'category_id': 1, 'bbox': [1, 1, 9, 9]}]), 'categor'),
        (labels(annotations=listed(), categories=5), 'categories'),
        (5, 'expected COCO form'),
        ('text', 'expected COCO form'),
        ([], 'no box'),
    ],
)  # fmt: skip
def test_box_files_that_say_nothing_usable_are_refused(tool, folder, capsys, content, said):
    (folder / 'boxes.json').write_text(json.dumps(content))
    assert run(tool, 'good.mp4', *MODEL, '--boxes', 'boxes.json', '--no-video') == 1
    line = complaint(capsys)
    assert said in line
    assert 'boxes.json' in line


@pytest.mark.parametrize('text', ['{"images": ', '[' * 100000, '', '\x00', '\ud800'])
def test_what_is_no_json_is_refused(tool, folder, capsys, text):
    (folder / 'boxes.json').write_bytes(text.encode('utf-8', 'surrogatepass'))
    assert run(tool, 'good.mp4', *MODEL, '--boxes', 'boxes.json', '--no-video') == 1
    assert 'boxes.json' in complaint(capsys)


@pytest.mark.parametrize(
    'content',
    [
        listed() * 2,
        listed(category_id=0),
        [{'image_id': 0, 'bbox': [60, 20, 50, 110]}],
        [*listed(), *listed(category_id=3, bbox=[0, 0, 9, 9])],
        labels(),
        labels(annotations=[{'image_id': 0, 'bbox': [60, 20, 50, 110]}, {'image_id': 0},
                            {'image_id': 0, 'bbox': [0, 0, 50, 50], 'iscrowd': 1}]),
    ],
    ids=['twice', 'classes from 0', 'no score', 'other classes', 'labels', 'crowds, no boxes'],
)  # fmt: skip
def test_odd_box_files_are_read_right(tool, folder, films, content):
    (folder / 'boxes.json').write_text(json.dumps(content))
    assert run(tool, 'good.mp4', *MODEL, '--boxes', 'boxes.json', '--no-video', '--frames', 1) == 0
    found = poses('good.poses.json')
    assert len(found) == 1
    wanted = good_poses(tool, films / 'good.mp4')[0]
    assert np.median(np.abs(found[0] - wanted)) < 5


@pytest.mark.parametrize(('first', 'hint'), [(0, False), (1, True)])
def test_a_list_without_the_first_frame_says_so(tmp_path, first, hint):
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps([listed(image_id=first)[0], listed(image_id=2)[0]]))
    told = str(FileBoxes(str(path), ['film.mp4#0', 'film.mp4#1', 'film.mp4#2']))
    assert ('none in the first frame (image_id counts from 0)' in told) == hint


# Weights and configs


@pytest.mark.parametrize(
    'content',
    [b'', b'garbage', b'PK\x03\x04' + bytes(50), 'other model', 'half', 'no weights', 'code'],
)
def test_weights_that_do_not_fit_are_refused(tool, folder, capsys, content):
    if isinstance(content, bytes):
        (folder / 'bad.pth').write_bytes(content)
    elif content == 'code':
        torch.save({'state_dict': os.system}, 'bad.pth')
    else:
        weights = torch.load(WEIGHTS, weights_only=True)
        weights = weights.get('state_dict', weights)
        half = dict(list(weights.items())[::2])
        chosen = {'other model': {'a': torch.zeros(1)}, 'half': half, 'no weights': 3}[content]
        torch.save({'state_dict': chosen}, 'bad.pth')
    assert run(tool, 'good.mp4', LIGHTNING, 'bad.pth', *BOX, '--no-video') == 1
    assert 'bad.pth' in complaint(capsys)
    assert sorted(os.listdir()) == ['bad.pth', 'good.mp4']


def test_weights_of_another_model_are_refused(tool, folder, capsys):
    assert run(tool, 'good.mp4', LIGHTNING, OTHER_WEIGHTS, *BOX, '--no-video') == 1
    assert OTHER_WEIGHTS.name in complaint(capsys)
    assert run(tool, 'good.mp4', LIGHTNING, 'missing.pth', *BOX, '--no-video') == 1
    assert 'missing.pth' in complaint(capsys)


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (None, 'bad.py'),
        ('model = dict(', 'bad.py'),
        ('x = 1', 'bad.py has no model'),
        ('import nowhere', 'bad.py'),
        ('model = dict(type="TopdownPoseEstimator")\n', 'bad.py'),
        ('_base_ = "missing.py"', 'missing.py'),
    ],
)
def test_configs_that_are_none_are_refused(tool, folder, capsys, text, said):
    if text is not None:
        (folder / 'bad.py').write_text(text)
    assert run(tool, 'good.mp4', 'bad.py', WEIGHTS, *BOX, '--no-video') == 1
    assert said in complaint(capsys)


@pytest.mark.parametrize(
    ('option', 'said'),
    [
        ('modle.head.type=MoveNetHead', 'modle'),
        ('model.backbone.chanels=32', 'chanels'),
        ('model.backbone.type=Movenet', 'Movenet'),
        ('model.backbone.arch=storm', 'storm'),
    ],
)
def test_options_of_configs_that_mean_nothing_are_refused(tool, folder, capsys, option, said):
    line = ('good.mp4', LIGHTNING, WEIGHTS, *BOX, '--no-video', '--cfg-options', option)
    assert run(tool, *line) == 1
    assert said in complaint(capsys)


# Outputs and options


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (('--out-json', '/proc/x/y.json'), '/proc/x/y.json cannot be written'),
        (('--out-json', '.'), 'is a folder'),
        (('--out-json', 'good.mp4'), 'is an input'),
        (('--out-video', 'good.mp4'), 'is an input'),
        (('--out-video', '/dev/full/x.mp4'), 'cannot be written'),
        (('--out-video', 'x.txt'), 'must end in'),
        (('--out-json', 'x.mp4', '--out-video', 'x.mp4'), 'same name'),
    ],
)
def test_outputs_that_cannot_be_written_are_refused(tool, folder, capsys, options, said):
    before = (folder / 'good.mp4').read_bytes()
    assert run(tool, 'good.mp4', *MODEL, *BOX, *options, '--overwrite') == 1
    assert said in complaint(capsys)
    assert (folder / 'good.mp4').read_bytes() == before


@pytest.mark.parametrize(
    ('options', 'code', 'said'),
    [
        (('--device', 'gpu'), 1, 'device gpu'),
        (('--device', 'cuda:77'), 1, 'device cuda:77'),
        (('--model', 'movenet-lightening'), 1, 'did you mean movenet-lightning'),
        (('--rate', 0), 2, '--rate'),
        (('--rate', 'nan'), 2, '--rate'),
        (('--kpt-thr', 1.5), 2, '--kpt-thr'),
        (('--kpt-thr', 'nan'), 2, '--kpt-thr'),
        (('--box-thr', 0), 2, '--box-thr'),
        (('--batch-size', 0), 2, '--batch-size'),
        (('--evidence', -1), 2, '--evidence'),
        (('--det-every', 0), 2, '--det-every'),
        (('--tiles', 100000), 2, '--tiles'),
        (('--frames', 0), 2, '--frames'),
        (('--tracker', 'max_lost=soon'), 2, 'max_lost'),
        (('--tracker', 'type=Nothing'), 2, 'type'),
        (('--det-config', 'faster.py'), 1, 'faster.py'),
        (('--boxes', 'missing.json'), 1, 'missing.json'),
        (('--boxes', '.'), 1, 'box file'),
        (('--format', 'xml'), 2, 'xml'),
    ],
)
def test_options_out_of_range_are_refused(tool, folder, capsys, options, code, said):
    model = () if '--model' in options else MODEL
    assert run(tool, 'good.mp4', *model, *options, '--no-video') == code
    assert said in complaint(capsys)
    assert os.listdir() == ['good.mp4']
