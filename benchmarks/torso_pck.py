"""PCK of the torso: the share of joints that are found, and how sure it is of.

A joint is found within a share, such as 0.2, of the distance from the left shoulder to the right
hip (Yang and Ramanan, PAMI 2013, "percentage of correct keypoints"). COCO's and PoseTrack's joints
agree in those of :data:`GROUPS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

__all__ = ['GROUPS', 'LIMBS', 'THRESHOLDS', 'hits_of', 'interval', 'joints_found', 'pck']

LEFT_SHOULDER, RIGHT_HIP = 5, 12
GROUPS = {
    'head': (0, 3, 4),
    'shoulders': (5, 6),
    'elbows': (7, 8),
    'wrists': (9, 10),
    'hips': (11, 12),
    'knees': (13, 14),
    'ankles': (15, 16),
}
# LSP-Extended labels no nose and no ears.
LIMBS = tuple(name for name in GROUPS if name != 'head')
THRESHOLDS = (0.2, 0.1)


def joints_found(
    found: np.ndarray, truth: np.ndarray, labelled: np.ndarray, threshold: float
) -> np.ndarray | None:
    """Say of each joint of a person whether it is found; None where no torso is labelled.

    Args:
        found: (K, 2).
        truth: (K, 2).
        labelled: (K,) bool.
        threshold: In torsos.
    """
    torso = np.linalg.norm(truth[LEFT_SHOULDER] - truth[RIGHT_HIP])
    if not (labelled[LEFT_SHOULDER] and labelled[RIGHT_HIP]) or torso == 0:
        return None
    return np.linalg.norm(found - truth, axis=-1) <= threshold * torso


def hits_of(
    samples: Sequence, threshold: float = 0.2, groups: Sequence[str] = tuple(GROUPS)
) -> dict[str, list[list[bool]]]:
    """Say of each labelled joint whether it is found.

    People whose left shoulder or right hip is not labelled have no torso and do not count.

    Args:
        samples: With ``gt_instances`` and ``pred_instances`` in one system of coordinates.
        threshold: In torsos.
        groups: Those of :data:`GROUPS` that count.

    Returns:
        Of each group a list for each person.
    """
    hits = {name: [] for name in groups}
    for sample in samples:
        truth = sample.gt_instances.keypoints[0]
        labelled = sample.gt_instances.keypoints_visible[0] > 0
        found = joints_found(sample.pred_instances.keypoints[0], truth, labelled, threshold)
        if found is None:
            continue
        for name in groups:
            hits[name].append([bool(found[j]) for j in GROUPS[name] if labelled[j]])
    return hits


def pck(
    samples: Sequence, threshold: float = 0.2, groups: Sequence[str] = tuple(GROUPS)
) -> dict[str, float]:
    """Return the share of joints found, in per cent, all together (``all``) and by group."""
    hits = hits_of(samples, threshold, groups)
    pooled = {name: list(chain.from_iterable(people)) for name, people in hits.items()}
    scores = {'all': list(chain.from_iterable(pooled.values())), **pooled}
    return {name: round(100 * float(np.mean(values)), 1) for name, values in scores.items()}


def interval(
    samples: Sequence,
    threshold: float = 0.2,
    groups: Sequence[str] = tuple(GROUPS),
    rounds: int = 1000,
) -> tuple[float, float]:
    """Return the 95 % interval of PCK by a bootstrap over people, in per cent."""
    hits = hits_of(samples, threshold, groups)
    people = [list(chain.from_iterable(groups)) for groups in zip(*hits.values(), strict=True)]
    found, labelled = (np.array([f(person) for person in people]) for f in (sum, len))
    drawn = np.random.default_rng(0).integers(len(people), size=(rounds, len(people)))
    shares = 100 * found[drawn].sum(1) / labelled[drawn].sum(1)
    return tuple(round(float(x), 1) for x in np.percentile(shares, (2.5, 97.5)))
