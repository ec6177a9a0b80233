from .augmentations import ClipPhotometricDistortion, PseudoClip, RandomFrameBorder
from .crop_and_shrink import ClipAffine, GenerateLRClip
from .degradations import (
    ClipBlur,
    ClipDegradation,
    ClipH264,
    ClipJPEG,
    ClipLowLight,
    ClipMotionBlur,
    ClipNoise,
)
from .load_and_pack import LoadClip, PackClipInputs, SampleClipFrames

__all__ = [
    'ClipAffine',
    'ClipBlur',
    'ClipDegradation',
    'ClipH264',
    'ClipJPEG',
    'ClipLowLight',
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
