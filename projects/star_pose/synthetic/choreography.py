"""What one figure does during a video."""

import numpy as np

from .motions import MOTIONS
from .signals import ease, smooth_noise
from .skeleton import CHANNELS

__all__ = ['choreograph']

# Joint angles of a figure that stands at ease, radians.
_AT_EASE = {
    'left_arm_abduct': 0.16, 'right_arm_abduct': 0.16, 'left_elbow': 0.22, 'right_elbow': 0.22,
    'left_arm_flex': 0.02, 'right_arm_flex': 0.02, 'left_hip_abduct': 0.05,
    'right_hip_abduct': 0.05, 'left_hip_twist': 0.08, 'right_hip_twist': 0.08,
    'left_knee': 0.06, 'right_knee': 0.06, 'left_hip_flex': 0.03, 'right_hip_flex': 0.03,
    'left_ankle': 0.03, 'right_ankle': 0.03,
}  # fmt: skip
# These turn the whole body over and are not mixed with others.
_ALONE = ('cartwheel', 'pushup')


def choreograph(
    frames: int, fps: float, rng: np.random.Generator, names: tuple[str, ...] = ()
) -> tuple[np.ndarray, list[str]]:
    """Let one figure perform one or two motions, cross-faded over half a second.

    Args:
        frames: Number of frames F.
        fps: Frames a second.
        rng: Draws the motions and their parameters.
        names: Motions to choose from; all when empty.

    Returns:
        The channels (F, C) and the names of the motions in order.
    """
    pool = list(names or MOTIONS)
    chosen = [str(rng.choice(pool)) for _ in range(int(rng.integers(1, 3)))]
    if set(chosen) & set(_ALONE):
        chosen = chosen[:1]
    t = np.arange(frames) / fps
    switch = rng.uniform(0.35, 0.65) * frames / fps
    values = np.zeros((frames, len(CHANNELS)))
    for i, name in enumerate(chosen):
        motion = {**{k: np.full(frames, v) for k, v in _AT_EASE.items()}, **MOTIONS[name](t, rng)}
        share = 1.0
        if len(chosen) == 2:
            share = ease((t - switch) / 0.5 + 0.5)
            share = share if i else 1 - share
        values += np.stack([motion.get(k, np.zeros(frames)) for k in CHANNELS], 1) * (
            share[:, None] if len(chosen) == 2 else 1.0
        )
    sway = [smooth_noise(t, rng, 2.8) for _ in CHANNELS]
    gain = np.array([0.0 if k in ('lift', 'turn') else 0.035 for k in CHANNELS])
    values += gain * np.stack(sway, 1)
    for name in ('left_elbow', 'right_elbow', 'left_knee', 'right_knee'):
        column = CHANNELS.index(name)
        values[:, column] = np.clip(values[:, column], 0.02, 2.5)  # hinges do not bend backwards
    return values, chosen
