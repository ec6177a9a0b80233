"""STAR-Pose: human pose estimation in low-resolution video, as an OpenMMLab plugin."""

from . import compat

compat.apply()

from . import datasets, engine, evaluation, models, visualization  # noqa: E402

__all__ = ['datasets', 'engine', 'evaluation', 'models', 'visualization']
__version__ = '0.1.0'
