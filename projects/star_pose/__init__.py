"""STAR-Pose: human pose estimation in low-resolution video, as an OpenMMLab plugin."""

from . import compat

compat.apply()

from . import codecs, datasets, engine, evaluation, models, tracking, visualization  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = [
    '__version__',
    'codecs',
    'datasets',
    'engine',
    'evaluation',
    'models',
    'tracking',
    'visualization',
]
