"""Parametric motions: each fills joint-angle channels of a figure over time.

A motion is a function ``(t, rng) -> {channel: (F,) values}``: `t` are seconds from its begin, `rng`
draws this performance's own tempo, amplitude and handedness. `choreograph` lets a figure do
one or two of them, cross-faded, with the small irregularities that no two people share.
"""

from collections.abc import Callable

import numpy as np

from .skeleton import CHANNELS

__all__ = ['MOTIONS', 'choreograph', 'smooth_noise']

_STAND = {
    'left_arm_abduct': 0.16, 'right_arm_abduct': 0.16, 'left_elbow': 0.22, 'right_elbow': 0.22,
    'left_arm_flex': 0.02, 'right_arm_flex': 0.02, 'left_hip_abduct': 0.05,
    'right_hip_abduct': 0.05, 'left_hip_twist': 0.08, 'right_hip_twist': 0.08,
    'left_knee': 0.06, 'right_knee': 0.06, 'left_hip_flex': 0.03, 'right_hip_flex': 0.03,
    'left_ankle': 0.03, 'right_ankle': 0.03,
}  # fmt: skip

Channels = dict[str, np.ndarray]


def smooth_noise(t: np.ndarray, rng: np.random.Generator, slowest: float = 4.0) -> np.ndarray:
    """A band-limited random function of time with unit amplitude, (F,).

    Args:
        t: Seconds, (F,).
        rng: Source of the phases.
        slowest: Period of the slowest of three sinusoids, seconds.
    """
    periods = slowest * np.array([1.0, 0.53, 0.31]) * rng.uniform(0.8, 1.25, 3)
    phases = rng.uniform(0, 2 * np.pi, 3)
    gains = np.array([0.6, 0.3, 0.15])
    return (gains * np.sin(2 * np.pi * t[:, None] / periods + phases)).sum(axis=1)


def _bump(phase: np.ndarray, centre: float, width: float) -> np.ndarray:
    """A smooth bump of height 1 on the circle of phases (radians)."""
    return np.exp((np.cos(phase - centre) - 1) / width**2)


def _pulse(time: np.ndarray, centre: float, width: float, period: float) -> np.ndarray:
    """A Gaussian of height 1 that comes back every period."""
    away = (time - centre + period / 2) % period - period / 2
    return np.exp(-((away / width) ** 2))


def _ease(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _gait(t, rng, cadence, hip, offset, swing, stance, push, arm, elbow, lean) -> Channels:
    """Legs and arms of walking and running: `hip` and `arm` are amplitudes, radians."""
    phase = 2 * np.pi * cadence * t + rng.uniform(0, 2 * np.pi)
    c = {'spine_pitch': np.full_like(t, lean), 'neck_pitch': np.full_like(t, -0.6 * lean),
         'turn': rng.uniform(-0.35, 0.35) * np.ones_like(t)}  # fmt: skip
    for side, shift in (('left', 0.0), ('right', np.pi)):
        p = phase + shift
        # the swinging leg is lifted: hip, knee and toes bend a little more than the stride needs
        c[f'{side}_hip_flex'] = offset + hip * np.cos(p) + 0.22 * _bump(p, 4.9, 0.7)
        c[f'{side}_knee'] = 0.07 + stance * _bump(p, 0.45, 0.6) + swing * _bump(p, 4.45, 0.75)
        swinging = 0.04 + 0.34 * _bump(p, 5.0, 0.8) - push * _bump(p, 3.5, 0.4)
        flat = c[f'{side}_knee'] - c[f'{side}_hip_flex']  # keeps the carrying sole level
        weight = _ease(1.6 * _bump(p, 1.4, 0.95))
        c[f'{side}_ankle'] = weight * flat + (1 - weight) * swinging
        c[f'{side}_arm_flex'] = 0.05 - arm * np.cos(p)
        c[f'{side}_arm_abduct'] = np.full_like(t, 0.14)
        c[f'{side}_elbow'] = elbow - 0.45 * arm * np.cos(p)
        c[f'{side}_hip_abduct'] = np.full_like(t, 0.02)
        c[f'{side}_hip_twist'] = np.full_like(t, 0.06)
    c['pelvis_yaw'] = -0.12 * hip / 0.4 * np.cos(phase)
    c['spine_yaw'] = 0.22 * hip / 0.4 * np.cos(phase)
    c['pelvis_roll'] = 0.04 * np.sin(phase)
    c['phase'] = phase
    return c


def walk(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Walk at 0.75-1.05 cycles a second, on a slight curve."""
    size = rng.uniform(0.32, 0.46)
    c = _gait(t, rng, rng.uniform(0.75, 1.05), size, 0.06, 0.85, 0.14, 0.35,
              rng.uniform(0.25, 0.55), rng.uniform(0.2, 0.5), rng.uniform(0.0, 0.1))  # fmt: skip
    del c['phase']
    return c


def run(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Run with a flight phase after each push-off."""
    c = _gait(t, rng, rng.uniform(1.25, 1.55), rng.uniform(0.55, 0.75), 0.28, 1.65, 0.45, 0.6,
              rng.uniform(0.6, 0.9), rng.uniform(1.3, 1.7), rng.uniform(0.12, 0.28))  # fmt: skip
    phase = c.pop('phase')
    c['lift'] = 0.045 * np.clip(np.sin(2 * phase - 0.9), 0, 1)
    return c


def wave(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Stand and wave one raised hand."""
    side = rng.choice(['left', 'right'])
    up = _ease(t / 0.7)
    beat = np.sin(2 * np.pi * rng.uniform(1.2, 2.2) * t)
    return {
        f'{side}_arm_abduct': up * rng.uniform(1.5, 2.4) + 0.12 * beat * up,
        f'{side}_arm_flex': up * rng.uniform(-0.2, 0.4),
        f'{side}_arm_twist': up * rng.uniform(1.3, 1.8),
        f'{side}_elbow': up * (0.8 + 0.5 * beat) + 0.2,
        'spine_roll': 0.06 * up * (1 if side == 'left' else -1),
        'neck_yaw': 0.3 * smooth_noise(t, rng),
    }


def jump(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Crouch, leave the ground, land; again and again, some with arms thrown up."""
    period, flight = rng.uniform(1.2, 1.7), rng.uniform(0.36, 0.52)
    local = (t + rng.uniform(0, period)) % period
    air = local - (period - flight)
    airborne = air > 0
    lift = np.where(airborne, 4.9 * air * (flight - air), 0)
    crouch = _pulse(local, 0.62 * (period - flight), 0.22, period)
    crouch += 0.6 * _pulse(local, 0.0, 0.12, period)
    swing = _pulse(local, period - flight * 0.6, 0.26, period)
    reach, spread = rng.uniform(1.2, 2.9), rng.choice([0.0, rng.uniform(0.4, 1.0)])
    tuck = rng.uniform(0, 0.9) * np.where(airborne, np.sin(np.pi * air / flight), 0)
    c = {'lift': lift, 'spine_pitch': 0.5 * crouch, 'pelvis_pitch': 0.25 * crouch,
         'turn': np.where(airborne, rng.choice([0, 0, rng.uniform(-4, 4)]), 0.0)}  # fmt: skip
    for side in ('left', 'right'):
        c[f'{side}_hip_flex'] = 0.9 * crouch + tuck + 0.25 * crouch
        c[f'{side}_knee'] = 1.5 * crouch + 1.6 * tuck + 0.06
        c[f'{side}_ankle'] = 0.55 * crouch - 0.5 * swing
        c[f'{side}_arm_flex'] = reach * swing - 0.8 * crouch
        c[f'{side}_arm_abduct'] = 0.15 + spread * swing
        c[f'{side}_elbow'] = 0.3 + 0.4 * crouch
        c[f'{side}_hip_abduct'] = 0.06 + 0.4 * spread * np.where(airborne, 1, 0) * swing
    return c


def sit(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Squat down to sitting height and rise again."""
    period = rng.uniform(2.6, 4.0)
    low = 0.5 - 0.5 * np.cos(2 * np.pi * (t + rng.uniform(0, period)) / period)
    low = _ease(low * 1.25) * rng.uniform(0.8, 1.0)
    arms = rng.uniform(0.1, 1.5)
    c = {'spine_pitch': 0.45 * low, 'pelvis_pitch': 0.35 * low, 'neck_pitch': -0.5 * low}
    for side in ('left', 'right'):
        c[f'{side}_hip_flex'] = 1.75 * low
        c[f'{side}_knee'] = 1.95 * low + 0.05
        c[f'{side}_ankle'] = 0.5 * low
        c[f'{side}_hip_abduct'] = 0.06 + 0.22 * low
        c[f'{side}_arm_flex'] = arms * low
        c[f'{side}_elbow'] = 0.25 + 0.5 * low
    return c


def turn(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Turn about the own axis with small steps, looking around."""
    c = walk(t, rng)
    size = rng.uniform(0.15, 0.3)
    for side in ('left', 'right'):
        c[f'{side}_hip_flex'] = 0.05 + size * (c[f'{side}_hip_flex'] - 0.05)
        c[f'{side}_knee'] = 0.06 + 0.6 * (c[f'{side}_knee'] - 0.06)
    c['turn'] = rng.choice([-1, 1]) * rng.uniform(1.0, 2.6) * (1 + 0.5 * smooth_noise(t, rng))
    c['neck_yaw'] = 0.15 * c['turn'] + 0.3 * smooth_noise(t, rng)
    return c


def throw(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Overarm throw: wind up, step, release, follow through."""
    side, other = rng.permutation(['left', 'right'])
    sign = 1 if side == 'left' else -1
    period = rng.uniform(1.5, 2.2)
    u = ((t + rng.uniform(0, period)) % period) / period
    wind, release = np.exp(-(((u - 0.42) / 0.13) ** 2)), np.exp(-(((u - 0.60) / 0.07) ** 2))
    after = np.exp(-(((u - 0.72) / 0.10) ** 2))
    return {
        'spine_yaw': sign * (0.6 * wind - 0.5 * after),
        'pelvis_yaw': sign * (0.5 * wind - 0.35 * after),
        'spine_pitch': -0.2 * wind + 0.55 * after,
        f'{side}_arm_abduct': 0.15 + 1.35 * wind + 1.2 * release + 0.2 * after,
        f'{side}_arm_flex': -0.5 * wind + 0.9 * release + 0.8 * after,
        f'{side}_arm_twist': 1.5 * wind + 0.6 * release,
        f'{side}_elbow': 0.25 + 1.5 * wind + 0.1 * release,
        f'{other}_arm_flex': 0.1 + 1.3 * wind - 0.3 * after,
        f'{other}_arm_abduct': 0.15 + 0.4 * wind,
        f'{other}_elbow': 0.3 + 0.5 * wind,
        f'{other}_hip_flex': 0.05 + 0.75 * wind + 0.25 * after,
        f'{other}_knee': 0.08 + 0.7 * wind + 0.35 * after,
        f'{side}_hip_flex': 0.05 - 0.25 * after,
        f'{side}_knee': 0.1 + 0.2 * wind + 0.5 * after,
        f'{side}_ankle': 0.05 - 0.4 * after,
    }


def kick(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Swing one leg back and kick."""
    side, other = rng.permutation(['left', 'right'])
    sign = 1 if side == 'left' else -1
    period, height = rng.uniform(1.3, 2.0), rng.uniform(0.7, 1.5)
    u = ((t + rng.uniform(0, period)) % period) / period
    back, hit = np.exp(-(((u - 0.38) / 0.12) ** 2)), np.exp(-(((u - 0.58) / 0.11) ** 2))
    return {
        f'{side}_hip_flex': -0.55 * back + height * hit,
        f'{side}_knee': 0.08 + 1.4 * back + 0.1 * hit,
        f'{side}_ankle': -0.4 * hit,
        f'{side}_hip_abduct': 0.08 + 0.12 * back,
        f'{other}_knee': 0.12 + 0.3 * back + 0.15 * hit,
        f'{other}_hip_flex': 0.08 + 0.15 * back,
        f'{other}_arm_flex': -0.3 + 1.0 * hit,
        f'{other}_arm_abduct': 0.25 + 0.7 * back,
        f'{side}_arm_flex': 0.3 * back - 0.7 * hit,
        f'{side}_arm_abduct': 0.3 + 0.4 * hit,
        'spine_pitch': 0.1 + 0.15 * back - 0.15 * hit,
        'spine_yaw': sign * (0.3 * back - 0.3 * hit),
    }


def dance(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Free movement of every joint around a common beat."""
    beat = 2 * np.pi * rng.uniform(0.7, 1.2) * t + rng.uniform(0, 2 * np.pi)
    c = {name: (0.1 if 'pelvis' in name else 0.22) * smooth_noise(t, rng, 2.5)
         for name in CHANNELS[:9]}  # fmt: skip
    for side, shift in (('left', 0.0), ('right', rng.uniform(2.0, np.pi))):
        dip = 0.5 + 0.5 * np.sin(beat + shift)
        c[f'{side}_hip_flex'] = 0.12 + 0.45 * dip
        c[f'{side}_knee'] = 0.15 + 0.75 * dip
        c[f'{side}_ankle'] = 0.05 + 0.2 * dip
        c[f'{side}_hip_abduct'] = 0.1 + 0.12 * smooth_noise(t, rng, 3)
        c[f'{side}_arm_abduct'] = 0.7 + 0.9 * smooth_noise(t, rng, 2.5)
        c[f'{side}_arm_flex'] = 0.6 + 1.1 * smooth_noise(t, rng, 2.5)
        c[f'{side}_arm_twist'] = 0.7 * smooth_noise(t, rng, 3)
        c[f'{side}_elbow'] = 1.0 + 0.8 * smooth_noise(t, rng, 2.0)
    c['turn'] = 1.2 * smooth_noise(t, rng, 3)
    return c


def bend(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Bend down to reach for the ground and come up again."""
    period = rng.uniform(2.4, 3.6)
    low = _ease(0.6 - 0.75 * np.cos(2 * np.pi * (t + rng.uniform(0, period)) / period))
    knees = rng.uniform(0.2, 1.1)
    c = {'spine_pitch': 1.0 * low, 'pelvis_pitch': 0.75 * low, 'neck_pitch': -0.3 * low,
         'spine_yaw': rng.uniform(-0.3, 0.3) * low}  # fmt: skip
    for side in ('left', 'right'):
        c[f'{side}_hip_flex'] = (0.75 + 0.6 * knees) * low
        c[f'{side}_knee'] = 1.15 * knees * low + 0.05
        c[f'{side}_ankle'] = 0.5 * knees * low
        c[f'{side}_arm_flex'] = rng.uniform(0.9, 1.6) * low
        c[f'{side}_elbow'] = 0.25 - 0.1 * low
    return c


def stand(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Stand, shift the weight, gesture a little."""
    side = rng.choice(['left', 'right'])
    weight = smooth_noise(t, rng, 3)
    talk = np.clip(smooth_noise(t, rng, 2.5), 0, 1)
    return {
        'pelvis_roll': 0.05 * weight,
        'spine_roll': -0.06 * weight,
        'neck_yaw': 0.5 * smooth_noise(t, rng, 3),
        f'{side}_elbow': 0.3 + 1.3 * talk,
        f'{side}_arm_flex': 0.5 * talk,
        f'{side}_knee': 0.1 + 0.12 * weight,
    }


#: Every motion by its name.
MOTIONS: dict[str, Callable[[np.ndarray, np.random.Generator], Channels]] = {
    f.__name__: f for f in (walk, run, wave, jump, sit, turn, throw, kick, dance, bend, stand)
}


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
    t = np.arange(frames) / fps
    switch = rng.uniform(0.35, 0.65) * frames / fps
    values = np.zeros((frames, len(CHANNELS)))
    for i, name in enumerate(chosen):
        motion = {**{k: np.full(frames, v) for k, v in _STAND.items()}, **MOTIONS[name](t, rng)}
        share = 1.0
        if len(chosen) == 2:
            share = _ease((t - switch) / 0.5 + 0.5)
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
