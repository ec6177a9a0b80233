"""Where the clip transforms get their randomness from."""

import numpy as np

__all__ = ['fetch_rng']


def fetch_rng(seed: int | None = None, sample_id: int = 0) -> np.random.Generator:
    """Start a generator for one transform of one fetched sample.

    MMPose's transforms draw from numpy's global generator, which mmengine's ``worker_init_fn``
    seeds with ``num_workers * rank + worker_id + seed``. One draw from the same generator seeds
    this one: every fetch differs, epochs included, and a run with the same seed and number of
    workers repeats exactly.

    Args:
        seed: None draws anew in every fetch. A number makes the draw depend on it and on
            ``sample_id`` alone, as a validation set needs that must be the same in every epoch.
        sample_id: Non-negative id of the sample; used with ``seed`` only.
    """
    if seed is not None:
        return np.random.default_rng([seed, sample_id])
    return np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002
