import fractions
import os
import pathlib
import zlib

import av
import av.bitstream
import cv2
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from clip_samples import build, texture
from star_pose.datasets import ClipReader, ClipReadError, DataError, video_refs
from star_pose.datasets.frames.clip_reader import image_size, split_ref, video_times
from star_pose.datasets.frames.video_file import VideoFile, stream_film

SIZE = (96, 64)


def write_video(path, number=40, codec='libx264', rate=25, step=1, **options):
    """Frame t has a white bar whose place says t; returns the list of frames that were written."""
    frames = []
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, 'yuv420p'
        for t in range(number):
            image = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
            image[:, 2 * t : 2 * t + 4] = 230
            frames.append(image)
            frame = av.VideoFrame.from_ndarray(image, format='bgr24')
            frame.pts = t * step
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return frames


def number_of(frame):
    """Which frame this is, read from the bar."""
    bright = frame[..., 1].astype(float).mean(axis=0) - 60
    bright[bright < 60] = 0
    return round(((bright * np.arange(len(bright))).sum() / bright.sum() - 1.5) / 2)


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('short_groups.mp4', dict(g='5', bf='0')),
        ('b_frames.mp4', dict(g='12', bf='3')),
        ('one_group.mkv', dict(g='250', bf='2')),
        ('open_groups.mp4', dict(g='10', bf='3', **{'x264-params': 'open-gop=1:scenecut=0'})),
        ('old.avi', dict(codec='mpeg4', g='9')),
    ],
)
def test_frames_are_exact_in_any_order(tmp_path, name, options):
    path = str(tmp_path / name)
    write_video(path, **options)
    video = VideoFile(path)
    assert len(video) == 40
    forwards = [video.read(t) for t in range(40)]
    assert [number_of(frame) for frame in forwards] == list(range(40))
    for t in [*np.random.default_rng(0).permutation(40).tolist(), 39, 0, 39]:
        np.testing.assert_array_equal(video.read(t), forwards[t])


def test_variable_frame_rate_does_not_shift_the_count(tmp_path):
    path = str(tmp_path / 'slow.mp4')
    write_video(path, number=20, step=3, g='7')
    video = VideoFile(path)
    assert len(video) == 20
    for t in (13, 2, 19, 5):
        assert number_of(video.read(t)) == t


def test_real_videos_give_what_sequential_decoding_gives(shared_data):
    for path in sorted((shared_data / 'mmpose_samples').rglob('*.mp4'))[:3]:
        with av.open(str(path)) as container:
            expected = {
                t: frame.to_ndarray(format='bgr24')
                for t, frame in enumerate(container.decode(video=0))
                if t in (0, 3, 4, 20, 33)
            }
        video = VideoFile(str(path))
        for t in sorted(expected, reverse=True):
            np.testing.assert_array_equal(video.read(t), expected[t])


def test_video_filmed_on_its_side_is_turned_upright_in_every_frame(tmp_path):
    path = str(tmp_path / 'phone.ts')
    image = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
    image[:8] = 230
    with av.open(path, 'w') as container:
        stream = container.add_stream('libx264', rate=25, options=dict(bf='0'))
        stream.width, stream.height, stream.pix_fmt = *SIZE, 'yuv420p'
        turn = 'h264_metadata=display_orientation=insert:rotate=90'
        mark = av.bitstream.BitStreamFilterContext(turn, stream)
        for t in range(4):
            frame = av.VideoFrame.from_ndarray(image, format='bgr24')
            frame.pts = t
            container.mux([out for packet in stream.encode(frame) for out in mark.filter(packet)])
        container.mux([out for packet in stream.encode(None) for out in mark.filter(packet)])
        container.mux(mark.filter(None))
    video = VideoFile(path)
    for t in (2, 0, 3):
        frame = video.read(t)
        assert frame.shape == (SIZE[0], SIZE[1], 3)
        assert frame[:, :4].mean() > 200  # a quarter turn to the left brings the top to the left
        assert frame[:, -4:].mean() < 80


def test_references_say_file_and_frame(tmp_path):
    assert split_ref('a/b.mp4#12') == ('a/b.mp4', 12)
    assert split_ref('a/B.AVI#0') == ('a/B.AVI', 0)
    assert split_ref('a#3/b.jpg') == ('a#3/b.jpg', None)
    assert split_ref('a/b#12') == ('a/b#12', None)
    path = str(tmp_path / 'x.mp4')
    write_video(path, number=4)
    refs = video_refs(path)
    assert refs == [f'{path}#{t}' for t in range(4)]
    frames = ClipReader().read_clip([refs[3], refs[1], refs[3]])
    assert [number_of(frame) for frame in frames] == [3, 1, 3]


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(1)
    paths = [str(tmp_path / f'{t:06d}.jpg') for t in range(6)]
    for path in paths:
        cv2.imwrite(path, texture(SIZE, rng))
    return paths


def test_frames_shared_by_neighbouring_samples_are_decoded_once(images):
    reader = ClipReader(cache_mb=1)
    for target in range(1, 5):
        for _ in range(3):  # three persons in the frame
            frames = reader.read_clip(images[target - 1 : target + 2])
    assert reader.num_decoded == 6
    np.testing.assert_array_equal(frames[1], cv2.imread(images[4]))


def test_oldest_frames_go_when_the_cache_is_full(images):
    size = SIZE[0] * SIZE[1] * 3
    reader = ClipReader(cache_mb=2 * size / 2**20)
    for index in (0, 1, 0, 2):  # 0 was used after 1, so 1 goes
        reader.read(images[index])
    assert reader.num_decoded == 3
    reader.read(images[0])
    assert reader.num_decoded == 3
    reader.read(images[1])
    assert reader.num_decoded == 4
    nothing = ClipReader(cache_mb=0)
    for _ in range(3):
        nothing.read(images[0])
    assert nothing.num_decoded == 3


def test_shared_frames_cannot_be_written(images):
    frame = ClipReader().read(images[0])
    with pytest.raises(ValueError, match='read-only'):
        frame[0, 0] = 0


def test_a_process_shares_one_reader_and_a_fork_gets_its_own(images):
    assert ClipReader.shared(cache_mb=3) is ClipReader.shared(cache_mb=3)
    assert ClipReader.shared(cache_mb=3) is not ClipReader.shared(cache_mb=4)
    before = ClipReader.shared(cache_mb=3)
    before.read(images[0])

    class Probe(torch.utils.data.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            reader = ClipReader.shared(cache_mb=3)
            return os.getpid(), reader is before, reader.num_decoded

    for process, same, decoded in torch.utils.data.DataLoader(Probe(), num_workers=1):
        assert int(process) != os.getpid()
        assert not bool(same)
        assert int(decoded) == 0


@pytest.mark.parametrize('share', [0.05, 0.3, 0.6, 0.95, 0.999])
@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_truncated_image_is_refused_and_named(tmp_path, suffix, share):
    path = tmp_path / f'frame{suffix}'
    cv2.imwrite(str(path), texture(SIZE, np.random.default_rng(2)))
    content = path.read_bytes()
    ClipReader().read(str(path))
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ClipReadError, match=f'frame{suffix}'):
        ClipReader().read(str(path))


def test_thumbnail_does_not_hide_a_truncation_and_a_trailer_does_no_harm(tmp_path):
    path = tmp_path / 'camera.jpg'
    cv2.imwrite(str(path), texture(SIZE, np.random.default_rng(3)))
    content = path.read_bytes()
    thumbnail = cv2.imencode('.jpg', texture((16, 16), np.random.default_rng(4)))[1].tobytes()
    segment = b'\xff\xe1' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail
    whole = content[:2] + segment + content[2:]
    path.write_bytes(whole + b'trailer of a camera')
    assert ClipReader().read(str(path)).shape == (SIZE[1], SIZE[0], 3)
    path.write_bytes(whole[: len(whole) // 2 + len(segment) // 2])
    with pytest.raises(ClipReadError, match='truncated'):
        ClipReader().read(str(path))


def test_missing_empty_and_foreign_files_are_refused(tmp_path):
    reader = ClipReader()
    empty, text = tmp_path / 'empty.jpg', tmp_path / 'text.jpg'
    empty.touch()
    text.write_text('no picture')
    for path, message in ((tmp_path / 'no.jpg', 'no.jpg'), (empty, 'empty'), (text, 'no image')):
        with pytest.raises(ClipReadError, match=message):
            reader.read(str(path))
    assert issubclass(ClipReadError, OSError)
    assert issubclass(ClipReadError, DataError)


def test_unreadable_videos_are_refused_with_file_and_frame(tmp_path):
    reader = ClipReader()
    good, cut, text = (str(tmp_path / name) for name in ('good.mp4', 'cut.mp4', 'text.mp4'))
    write_video(good, number=6)
    content = pathlib.Path(good).read_bytes()
    pathlib.Path(cut).write_bytes(content[: len(content) // 2])
    pathlib.Path(text).write_text('no video')
    with pytest.raises(ClipReadError, match=r'frame 6 of .*good.mp4.*6 frames'):
        reader.read(f'{good}#6')
    for path in (cut, text, str(tmp_path / 'none.mp4')):
        with pytest.raises(ClipReadError, match=pathlib.Path(path).name):
            reader.read(f'{path}#0')
        with pytest.raises(ClipReadError, match=pathlib.Path(path).name):
            video_refs(path)


def test_damage_inside_a_video_stops_no_other_frame(tmp_path):
    path = tmp_path / 'damaged.mkv'
    write_video(path, number=30, g='10', bf='0', **{'x264-params': 'scenecut=0'})
    whole = [VideoFile(str(path)).read(t) for t in (0, 9)]
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.7)])
    video = VideoFile(str(path))
    assert 10 < len(video) < 30
    for t, expected in zip((0, 9), whole, strict=True):
        np.testing.assert_array_equal(video.read(t), expected)
    with pytest.raises(IndexError, match='frame 29'):
        video.read(29)


def test_clip_is_loaded_from_images_and_videos_alike(tmp_path, images):
    path = str(tmp_path / 'x.mp4')
    write_video(path, number=8)
    load = build(dict(type='SampleClipFrames', num_frames=3), dict(type='LoadClip'))
    refs = video_refs(path)
    made = load(dict(img_path=refs[7], video_frames=refs, frame_index=7))
    assert [number_of(frame) for frame in made['img']] == [6, 7, 7]
    made = load(dict(img_path=images[2], video_frames=images, frame_index=2))
    for frame, image in zip(made['img'], images[1:4], strict=True):
        np.testing.assert_array_equal(frame, cv2.imread(image))
    assert made['img_shape'] == made['ori_shape'] == (SIZE[1], SIZE[0])
    still = load(dict(img_path=images[0]))
    assert len(still['img']) == 3


def decoded(path):
    """What sequential decoding gives: the oracle of every frame's number."""
    with av.open(str(path)) as container:
        film = next(s for s in container.streams.video if s.codec_context.name != 'png')
        return [frame.to_ndarray(format='bgr24') for frame in container.decode(film)]


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('b_frames.avi', dict(codec='libx264', g='8', bf='2')),
        ('b_frames.wmv', dict(codec='libx264', g='8', bf='2')),
        ('program.mpg', dict(codec='mpeg2video', g='8', bf='2')),
        (
            'hidden.webm',
            {'codec': 'libvpx', 'auto-alt-ref': '1', 'lag-in-frames': '16'},
        ),
        ('transport.ts', {'g': '10', 'bf': '3', 'x264-params': 'open-gop=1:scenecut=0'}),
        ('refresh.ts', {'g': '10', 'bf': '0', 'x264-params': 'intra-refresh=1:scenecut=0'}),
    ],
)
def test_frame_numbers_are_those_of_sequential_decoding_in_any_container(tmp_path, name, options):
    path = str(tmp_path / name)
    write_video(path, **options)
    expected = decoded(path)
    assert [number_of(frame) for frame in expected] == list(range(40))
    in_order, at_random = VideoFile(path), VideoFile(path)
    for t in range(40):
        np.testing.assert_array_equal(in_order.read(t), expected[t])
    with pytest.raises(IndexError, match='frame 40'):
        in_order.read(40)
    assert len(at_random) == 40
    for t in [*range(39, -1, -1), *np.random.default_rng(0).permutation(40).tolist()]:
        np.testing.assert_array_equal(at_random.read(t), expected[t])


def test_stream_cut_between_key_frames_counts_the_frames_that_decoding_gives(tmp_path):
    path = tmp_path / 'cut.ts'
    write_video(path, g='10', bf='2', **{'x264-params': 'scenecut=0'})
    content = path.read_bytes()
    for start in (0.1, 0.35):
        first = int(len(content) * start) // 188 * 188
        path.write_bytes(content[first:])
        expected = decoded(path)
        assert 10 < len(expected) < 40
        video = VideoFile(str(path))
        assert len(video) == len(expected)
        for t in (len(expected) - 1, 0, 7, 3):
            np.testing.assert_array_equal(video.read(t), expected[t])


def test_cover_picture_before_the_film_is_not_the_film(tmp_path):
    path = str(tmp_path / 'cover.mp4')
    cover = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    write_video(tmp_path / 'film.mp4', number=6)
    with av.open(str(tmp_path / 'film.mp4')) as film, av.open(path, 'w') as container:
        picture = container.add_stream('png', rate=1)
        picture.width, picture.height, picture.pix_fmt = *SIZE, 'rgb24'
        picture.disposition = av.stream.Disposition.attached_pic
        stream = container.add_stream_from_template(film.streams.video[0])
        container.mux(picture.encode(av.VideoFrame.from_ndarray(cover, format='rgb24')))
        container.mux(picture.encode(None))
        for packet in film.demux(film.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    put_cover_first(pathlib.Path(path))
    with av.open(path) as container:
        assert container.streams.video[0].disposition & av.stream.Disposition.attached_pic
    video = VideoFile(path)
    assert [number_of(video.read(t)) for t in (5, 0, 3)] == [5, 0, 3]
    assert len(video) == 6


def put_cover_first(path):
    """Put the box with the cover before those of the streams; the size of their parent stays."""
    content = path.read_bytes()
    start = content.index(b'moov') + 4
    end = start - 8 + int.from_bytes(content[start - 8 : start - 4], 'big')
    boxes, position = [], start
    while position < end:
        size = int.from_bytes(content[position : position + 4], 'big')
        boxes.append(content[position : position + size])
        position += size
    boxes.sort(key=lambda box: box[4:8] != b'udta')
    path.write_bytes(content[:start] + b''.join(boxes) + content[end:])


def test_display_matrices_turn_and_mirror_every_frame(tmp_path):
    image = cv2.resize(texture((24, 16), np.random.default_rng(5)), SIZE)
    shown = {  # (a, b, c, d) of x' = a x + c y, y' = b x + d y -> what is to be seen
        (1, 0, 0, 1): lambda i: i,
        (-1, 0, 0, 1): lambda i: i[:, ::-1],
        (1, 0, 0, -1): lambda i: i[::-1],
        (-1, 0, 0, -1): lambda i: i[::-1, ::-1],
        (0, 1, -1, 0): lambda i: np.rot90(i, -1),
        (0, -1, 1, 0): np.rot90,
        (0, 1, 1, 0): lambda i: i.transpose(1, 0, 2),
        (0, -1, -1, 0): lambda i: np.rot90(i, 2).transpose(1, 0, 2),
    }
    for (a, b, c, d), view in shown.items():
        path = str(tmp_path / f'{a}{b}{c}{d}.mp4')
        write_turned(path, image, (a, b, 0, c, d, 0, 0, 0, 1))
        expected = decoded(path)
        video = VideoFile(path)
        for t in (3, 0):
            np.testing.assert_array_equal(video.read(t), view(expected[t]))
    path = str(tmp_path / 'slanted.mp4')
    write_turned(path, image, (0.7, 0.7, 0, -0.7, 0.7, 0, 0, 0, 1))
    with pytest.raises(ValueError, match=r'slanted.mp4: its display matrix .* is no quarter turn'):
        VideoFile(path)


def write_turned(path, image, matrix):
    with av.open(path, 'w') as container:
        stream = container.add_stream('libx264', rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, 'yuv420p'
        stream.set_display_matrix(matrix)
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='bgr24')))
        container.mux(stream.encode(None))


def test_frame_times_keep_the_rhythm_of_the_file(tmp_path):
    shown = [0, 1, 2, 12, 13, 40]  # in 1/25 s
    path = str(tmp_path / 'vfr.mp4')
    with av.open(path, 'w') as container:
        stream = container.add_stream('libx264', rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, 'yuv420p'
        for pts in shown:
            frame = av.VideoFrame(*SIZE, 'yuv420p')
            frame.pts, frame.time_base = pts + 7, fractions.Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    np.testing.assert_allclose(VideoFile(path).times, np.array(shown) / 25, atol=1e-9)
    write_video(tmp_path / 'old.avi', number=10, bf='2', rate=20)
    np.testing.assert_allclose(video_times(str(tmp_path / 'old.avi')), np.arange(10) / 20)


def test_video_damaged_inside_is_refused_because_later_numbers_are_uncertain(tmp_path):
    path = tmp_path / 'torn.mp4'
    write_video(path, g='10')
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    content[places[20] : places[24]] = bytes(places[24] - places[20])
    path.write_bytes(content)
    video = VideoFile(str(path))
    assert [number_of(video.read(t)) for t in range(10)] == list(range(10))
    with pytest.raises(ValueError, match=r'torn.mp4: after frame 17 .* no certain number'):
        len(VideoFile(str(path)))
    shown = list(stream_film(str(path)))
    first_fault = next(frame.index for frame in shown if frame.image is None)
    assert first_fault == 18
    assert [frame.certain for frame in shown if frame.image is not None] == (
        [True] * 18 + [False] * (sum(frame.image is not None for frame in shown) - 18)
    )
    assert [number_of(frame.image) for frame in shown[:18]] == list(range(18))
    assert not shown[-1].certain


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_turns_the_image_and_its_size(tmp_path, orientation):
    path = tmp_path / 'phone.jpg'
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(texture(SIZE, np.random.default_rng(6))).save(path, exif=exif)
    frame = ClipReader().read(str(path))
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))[..., ::-1]
    assert frame.shape == upright.shape
    assert np.abs(frame.astype(int) - upright).mean() < 1  # two JPEG decoders
    assert image_size(str(path)) == (frame.shape[1], frame.shape[0])
    assert (image_size(str(path)) == SIZE) == (orientation < 5)


def test_webp_that_asks_to_be_turned_is_refused_since_the_decoder_ignores_it(tmp_path):
    path = tmp_path / 'turned.webp'
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture = Image.fromarray(texture(SIZE, np.random.default_rng(7)))
    picture.save(path, exif=exif)
    for act in (ClipReader().read, image_size):
        with pytest.raises(ClipReadError, match='EXIF orientation'):
            act(str(path))
    picture.save(path)
    assert ClipReader().read(str(path)).shape == (SIZE[1], SIZE[0], 3)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_bytes_after_the_end_of_a_picture_do_no_harm(tmp_path, suffix):
    path, film = tmp_path / f'motion{suffix}', tmp_path / 'film.mp4'
    write_video(film)
    picture = texture(SIZE, np.random.default_rng(8))
    cv2.imwrite(str(path), picture)
    content = path.read_bytes()
    expected = cv2.imread(str(path))
    for trailer in (film.read_bytes(), b'\xff\xda' * 50, bytes(3000), content[: len(content) // 2]):
        path.write_bytes(content + trailer)
        np.testing.assert_array_equal(ClipReader().read(str(path)), expected)
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(ClipReadError, match='truncated'):
            ClipReader().read(str(path))


def test_images_that_ask_for_too_much_memory_are_refused(tmp_path):
    path = tmp_path / 'huge.png'
    cv2.imwrite(str(path), texture(SIZE, np.random.default_rng(9)))
    content = bytearray(path.read_bytes())
    content[16:24] = (40000).to_bytes(4, 'big') * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, 'big')
    path.write_bytes(content)
    with pytest.raises(ClipReadError, match=r'huge.png is too large'):
        ClipReader().read(str(path))
