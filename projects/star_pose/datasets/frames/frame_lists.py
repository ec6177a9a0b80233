"""Which frames a video has, in time order, and where the labelled ones stand among them."""

import bisect
import dataclasses
import os
import os.path as osp
import re

from ..errors import LabelError
from .clip_reader import IMAGE_SUFFIXES

__all__ = ['MAX_FRAMES', 'FolderIndex', 'FrameName', 'FrameSequence', 'build_sequence']

MAX_FRAMES = 10**6  # of one video; a wrong number in a label would ask for any amount of memory
_NUMBERED = re.compile(r'(?P<prefix>.*?)(?P<number>[0-9]{1,18})', re.DOTALL)


@dataclasses.dataclass(frozen=True)
class FrameName:
    """A numbered frame file: ``folder/prefix`` + number in ``digits`` digits + ``suffix``."""

    folder: str
    prefix: str
    number: int
    digits: int
    suffix: str

    @classmethod
    def parse(cls, path: str) -> 'FrameName | None':
        """Take a path apart; None when its name does not end in a number."""
        folder, name = osp.split(path)
        stem, suffix = osp.splitext(name)
        match = _NUMBERED.fullmatch(stem)
        if match is None:
            return None
        number = match['number']
        return cls(folder, match['prefix'], int(number), len(number), suffix)

    def name(self, number: int | None = None) -> str:
        """The file name of another frame of the same video (default: this one)."""
        number = self.number if number is None else number
        return f'{self.prefix}{number:0{self.digits}d}{self.suffix}'

    def path(self, number: int | None = None) -> str:
        """The path of another frame of the same video (default: this one)."""
        return osp.join(self.folder, self.name(number))


class FolderIndex:
    """The image files of folders; every folder is listed once."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def names(self, folder: str) -> set[str]:
        """The image file names in a folder; empty when the folder is not there."""
        if folder not in self._names:
            names = os.listdir(folder) if osp.isdir(folder) else []
            self._names[folder] = {n for n in names if n.lower().endswith(IMAGE_SUFFIXES)}
        return self._names[folder]

    def has(self, path: str) -> bool:
        """Whether the image file is there."""
        return osp.basename(path) in self.names(osp.dirname(path))

    def frames_like(self, frame: FrameName) -> dict[int, str]:
        """All frames of the video that ``frame`` belongs to: number -> path.

        Where two files carry one number, the one named like ``frame`` wins.
        """
        found: dict[int, FrameName] = {}
        for name in self.names(frame.folder):
            other = FrameName.parse(osp.join(frame.folder, name))
            if other is None or other.prefix != frame.prefix:
                continue
            if other.number not in found or other.name() == frame.name(other.number):
                found[other.number] = other
        return {number: found[number].path() for number in sorted(found)}


@dataclasses.dataclass
class FrameSequence:
    """One video as a list of frame files.

    Attributes:
        frames: All frames in time order; where a frame is missing, its nearest existing neighbour.
        index: Frame number -> position in ``frames``.
        missing: Numbers of the frames that should be there and are not.
        example: A frame name of this video, for messages.
    """

    frames: list[str]
    index: dict[int, int]
    missing: list[int]
    example: FrameName


def build_sequence(
    example: FrameName,
    listed: list[int],
    present: dict[int, str],
    num_frames: int = 0,
    first_frame: int | None = None,
    contiguous: bool = True,
) -> FrameSequence:
    """List a video's frames in time order.

    Args:
        example: One of its frame names.
        listed: Numbers of the frames that the labels list.
        present: Number -> path of the files that are there.
        num_frames: Length of the video by the labels; 0: they do not say.
        first_frame: Number of the first frame; None: the smallest number known.
        contiguous: Whether numbers that are skipped are missing frames. False for videos whose
            numbering may have a step.

    Returns:
        The sequence. Frames that exist beyond ``num_frames`` are kept.

    Raises:
        LabelError: The numbers span more frames than a video has.
    """
    numbers = set(listed) | set(present)
    start = min(numbers) if first_frame is None else first_frame
    if contiguous:
        end = max(max(numbers) + 1, start + num_frames)
        if end - start > MAX_FRAMES:
            raise LabelError(
                f'the frames of {example.path()} are numbered {start} to {end - 1}, more than '
                f'{MAX_FRAMES}: is one number wrong?'
            )
        numbers |= set(range(start, end))
    ordered = sorted(numbers)
    index = {number: position for position, number in enumerate(ordered)}
    missing = [number for number in ordered if number not in present]
    there = sorted(present)
    frames = [present.get(n) or present[_nearest(there, n)] for n in ordered] if there else []
    return FrameSequence(frames, index, missing, example)


def _nearest(numbers: list[int], target: int) -> int:
    """The number nearest to the target, the earlier one on ties; ``numbers`` ascend."""
    place = bisect.bisect_left(numbers, target)
    around = numbers[max(place - 1, 0) : place + 1]
    return min(around, key=lambda number: abs(number - target))
