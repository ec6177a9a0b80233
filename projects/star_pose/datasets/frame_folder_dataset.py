"""Clip data sets whose videos are folders of numbered image files."""

import collections

from .base_clip_dataset import BaseClipDataset
from .errors import LabelError
from .frames.frame_lists import FolderIndex, FrameName, FrameSequence, build_sequence

__all__ = ['FrameFolderDataset']


class FrameFolderDataset(BaseClipDataset):
    """Finds the frames around every labelled image by the numbers in the file names.

    Files of one folder with the same name before the number are one video.

    Args:
        ann_file: As in :class:`BaseClipDataset`.
        missing_frames: ``'error'``, or ``'nearest'``: a missing neighbour frame is replaced by the
            nearest existing frame of its video, which makes that part of the clip stand still. For
            samples that come without their neighbours; a missing labelled frame is never replaced.
        **kwargs: As in :class:`BaseClipDataset`.

    Raises:
        ValueError: An option is unknown.
    """

    # Whether skipped numbers are missing frames; False where a numbering may have a step
    CONTIGUOUS = True

    def __init__(self, ann_file: str = '', *, missing_frames: str = 'error', **kwargs) -> None:
        if missing_frames not in ('error', 'nearest'):
            raise ValueError(f"missing_frames must be 'error' or 'nearest', got {missing_frames!r}")
        self.missing_frames = missing_frames
        self.frame_names: dict[str, FrameName] = {}
        self.missing_paths: list[str] = []
        super().__init__(ann_file, **kwargs)

    def first_frame(self, digits: int) -> int | None:
        """Number of the first frame where a convention fixes it for names of so many digits."""
        return None

    def locate_frames(self, images: list[dict], index: FolderIndex) -> list[dict]:
        videos = collections.defaultdict(list)
        for image in images:
            name = FrameName.parse(image['img_path'])
            if name is None:
                self.skips.reject_label(
                    LabelError(
                        f'{image["label_file"]}: {image["file_name"]} has no number at the end of '
                        'its name, so its place in the video is unknown'
                    ),
                    'bad file names',
                )
                continue
            videos[f'{name.folder}/{name.prefix}'].append((image, name))
        found, gaps = [], []
        for key, members in videos.items():
            sequence = self._list_video(members, index)
            there = [pair for pair in members if self._is_there(*pair, index)]
            if not there:
                continue
            if sequence.missing:
                gaps.append((key, sequence))
            self.video_frames[key] = sequence.frames
            self.frame_names[key] = sequence.example
            for image, name in there:
                image.update(sequence=key, frame_index=sequence.index[name.number])
                image.setdefault('vid_id', key)
                image.setdefault('frame_id', name.number)
                found.append(image)
        if gaps and self.missing_frames == 'error':
            raise self._gap_error(gaps)
        self.missing_paths = [s.example.path(number) for _, s in gaps for number in s.missing]
        self.counts['missing frames'] = len(self.missing_paths)
        return found

    def _list_video(self, members: list[tuple], index: FolderIndex) -> FrameSequence:
        name = members[0][1]
        sequence = build_sequence(
            name,
            listed=[other.number for _, other in members],
            present=index.frames_like(name),
            num_frames=int(max(image.get('nframes') or 0 for image, _ in members)),
            first_frame=self.first_frame(name.digits),
            contiguous=self.CONTIGUOUS,
        )
        # A labelled frame that is missing is a fault of its own, not a missing neighbour
        targets = {other.number for image, other in members if _is_target(image)}
        sequence.missing = [number for number in sequence.missing if number not in targets]
        return sequence

    def _is_there(self, image: dict, name: FrameName, index: FolderIndex) -> bool:
        """Whether a listed frame itself exists; a fault, raised or counted, if it is labelled."""
        if index.has(image['img_path']):
            return True
        if not _is_target(image):
            return False  # a neighbour only: the sequence lists it as missing
        others = sorted(index.names(name.folder))
        hint = ''
        if others:
            hint = (
                f'the folder has {len(others)} images, {others[0]} to {others[-1]}: do its names '
                f'have the digits and the first number of the labels ({name.name()})?'
            )
        error = self.not_found('labelled frame', image['img_path'], hint)
        self.skips.reject_label(error, 'missing files')
        return False

    def _gap_error(self, gaps: list[tuple[str, FrameSequence]]):
        key, sequence = gaps[0]
        total = sum(len(other.missing) for _, other in gaps)
        first = sequence.example.path(sequence.missing[0])
        return self.not_found(
            f'{total} frames around labelled ones, in {len(gaps)} videos; in {key} '
            f'{len(sequence.missing)} of {len(sequence.frames)}, the first',
            first,
            "missing_frames='nearest' repeats the nearest existing frame instead: the clip then "
            'stands still there, so use it only to try things out',
        )


def _is_target(image: dict) -> bool:
    return image['is_labeled'] or image['has_persons']
