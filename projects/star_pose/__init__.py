"""STAR-Pose: human pose estimation in low-resolution video, as an OpenMMLab plugin."""

from . import compat

compat.apply()

with compat.quiet_imports():
    from . import codecs, datasets, engine, evaluation, models, tracking, visualization
from .apis import shipped_models  # noqa: E402
from .version import __version__  # noqa: E402

shipped_models.offer_to_inferencers()

__all__ = [
    'VideoPose',
    '__version__',
    'codecs',
    'datasets',
    'engine',
    'evaluation',
    'models',
    'tracking',
    'visualization',
]


def __getattr__(name: str) -> object:
    """Import what only videos need when it is asked for: it costs a second."""
    if name == 'VideoPose':
        from .apis.video_pose import VideoPose

        return VideoPose
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
