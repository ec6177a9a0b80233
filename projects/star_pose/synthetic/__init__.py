"""Synthetic PoseTrack: people in motion, rendered and labelled in PoseTrack18's form."""

from .backgrounds import list_photographs
from .contact_sheet import contact_sheet, draw_labels
from .mocap import MotionLibrary
from .scene import Frame, Scene, SceneOptions
from .writer import DatasetOptions, labelled_frames, make_dataset

__all__ = [
    'DatasetOptions',
    'Frame',
    'MotionLibrary',
    'Scene',
    'SceneOptions',
    'contact_sheet',
    'draw_labels',
    'labelled_frames',
    'list_photographs',
    'make_dataset',
]
