import pytest

from star_pose.datasets.frames.frame_lists import FolderIndex, FrameName, build_sequence


@pytest.mark.parametrize(
    ('path', 'prefix', 'number', 'digits', 'suffix'),
    [
        ('v/000012.jpg', '', 12, 6, '.jpg'),
        ('v/00000012.jpg', '', 12, 8, '.jpg'),
        ('v/18_14.png', '18_', 14, 2, '.png'),
        ('v/take2_frame007.jpeg', 'take2_frame', 7, 3, '.jpeg'),
    ],
)
def test_name_is_taken_apart_and_put_together(path, prefix, number, digits, suffix):
    name = FrameName.parse(path)
    assert (name.prefix, name.number, name.digits, name.suffix) == (prefix, number, digits, suffix)
    assert name.path() == path


def test_name_without_a_number_is_no_frame():
    assert FrameName.parse('v/cover.jpg') is None
    assert FrameName.parse('v/12_cover.jpg') is None


def test_of_two_files_with_one_number_the_one_named_like_the_labels_wins(tmp_path):
    for name in ('001.jpg', '001.png', '0002.jpg', '002.jpg', 'notes3.txt'):
        (tmp_path / name).touch()
    frames = FolderIndex().frames_like(FrameName.parse(str(tmp_path / '001.jpg')))
    assert frames == {1: str(tmp_path / '001.jpg'), 2: str(tmp_path / '002.jpg')}


def test_missing_folder_has_no_frames(tmp_path):
    index = FolderIndex()
    assert index.names(str(tmp_path / 'nothing')) == set()
    assert not index.has(str(tmp_path / 'nothing/000000.jpg'))


def test_sequence_spans_listed_and_present_frames():
    example = FrameName.parse('v/000003.jpg')
    present = {n: f'v/{n:06d}.jpg' for n in (1, 3, 6)}
    sequence = build_sequence(example, [3], present, num_frames=5, first_frame=0)
    assert sequence.missing == [0, 2, 4, 5]
    assert sequence.index[6] == 6
    assert sequence.frames == [present[n] for n in (1, 1, 1, 3, 3, 6, 6)]


def test_numbering_with_a_step_misses_only_what_the_labels_list():
    example = FrameName.parse('v/10.jpg')
    present = {n: f'v/{n}.jpg' for n in (5, 10, 20)}
    sequence = build_sequence(example, [10, 15], present, contiguous=False)
    assert sequence.missing == [15]
    assert sequence.index == {5: 0, 10: 1, 15: 2, 20: 3}
    assert sequence.frames[2] == 'v/10.jpg'
