"""Models that ship with their weights, by name."""

import difflib
import os.path as osp
from collections.abc import Iterator

import yaml
from mmengine.infer import BaseInferencer

from ..datasets.errors import DataNotFoundError

__all__ = ['BY_SIZE', 'SMALL_BELOW', 'find_model', 'offer_to_inferencers', 'shipped_models']

BY_SIZE = 'star_pose_movenet-thunder', 'movenet-thunder'
"""The models of small people and of others."""
SMALL_BELOW = 80
"""Pixels of height: what ``benchmarks/person_size.py`` measured."""
_PACKAGE = osp.dirname(osp.dirname(osp.abspath(__file__)))
_CONFIGS = osp.join(_PACKAGE, '.mim', 'configs')  # links in a checkout, files when installed


def shipped_models() -> dict[str, tuple[str, str]]:
    """From the name of a model to its config and its weights.

    They are those of ``configs/metafile.yml`` that name weights; ``Alias`` is the short name.
    """
    with open(osp.join(_CONFIGS, 'metafile.yml'), encoding='utf-8') as file:
        models = yaml.safe_load(file)['Models']
    found = {}
    for model in models:
        if 'Weights' in model:
            config = osp.join(_CONFIGS, osp.relpath(model['Config'], 'configs'))
            weights = osp.join(_PACKAGE, 'weights', osp.basename(model['Weights']))
            found[model.get('Alias', model['Name'])] = config, weights
    return found


def find_model(name: str) -> tuple[str, str | None]:
    """Config and weights of a name.

    Args:
        name: Of a shipped model, or the path of a config, which has no weights.

    Raises:
        DataNotFoundError: If there is neither such a model nor such a file.
    """
    models = shipped_models()
    if name in models:
        return models[name]
    if osp.isfile(name):
        return name, None
    close = difflib.get_close_matches(name, models, n=1)
    hint = (f'did you mean {close[0]}?',) if close else ()
    remedies = (*hint, f'shipped are {", ".join(models)}', 'or give a config and a checkpoint')
    raise DataNotFoundError.describe('model', name, remedies=remedies)


def offer_to_inferencers() -> None:
    """Let OpenMMLab's inferencers know the shipped models: ``MMPoseInferencer(pose2d=NAME)``."""
    listed = BaseInferencer._get_models_from_metafile
    if listed.__module__ == __name__:
        return

    def with_shipped(dir: str) -> Iterator[dict]:
        """The shipped models, and those of a package's folder."""
        for name, (config, weights) in shipped_models().items():
            yield {'Name': name, 'Config': config, 'Weights': weights}
        yield from listed(dir)

    BaseInferencer._get_models_from_metafile = staticmethod(with_shipped)
