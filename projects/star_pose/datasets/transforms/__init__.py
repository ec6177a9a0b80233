from .clip_affine import ClipAffine
from .clip_photometric_distortion import ClipPhotometricDistortion
from .degradations import (
    ClipBlur,
    ClipDegradation,
    ClipH264,
    ClipJPEG,
    ClipMotionBlur,
    ClipNoise,
)
from .generate_lr_clip import GenerateLRClip
from .load_clip import LoadClip
from .pack_clip_inputs import PackClipInputs
from .pseudo_clip import PseudoClip
from .random_frame_border import RandomFrameBorder
from .sample_clip_frames import SampleClipFrames

__all__ = [
    'ClipAffine',
    'ClipBlur',
    'ClipDegradation',
    'ClipH264',
    'ClipJPEG',
    'ClipMotionBlur',
    'ClipNoise',
    'ClipPhotometricDistortion',
    'GenerateLRClip',
    'LoadClip',
    'PackClipInputs',
    'PseudoClip',
    'RandomFrameBorder',
    'SampleClipFrames',
]
