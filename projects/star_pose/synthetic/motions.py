"""Parametric motions: each fills joint-angle channels of a figure over time.

A motion is a function ``(t, rng) -> {channel: (F,) values}``: `t` are seconds from its begin, `rng`
draws this performance's own tempo, amplitude and handedness. Channels left out keep the values of a
figure that stands at ease.
"""

from collections.abc import Callable

import numpy as np

from .signals import bump, ease, pulse, smooth_noise
from .skeleton import CHANNELS

__all__ = ['MOTIONS', 'Channels']

Channels = dict[str, np.ndarray]


def _gait(t, rng, cadence, hip, offset, swing, stance, push, arm, elbow, lean) -> Channels:
    """Legs and arms of walking and running: `hip` and `arm` are amplitudes, radians."""
    phase = 2 * np.pi * cadence * t + rng.uniform(0, 2 * np.pi)
    c = {'spine_pitch': np.full_like(t, lean), 'neck_pitch': np.full_like(t, -0.6 * lean),
         'turn': rng.uniform(-0.35, 0.35) * np.ones_like(t)}  # fmt: skip
    for side, shift in (('left', 0.0), ('right', np.pi)):
        p = phase + shift
        # the swinging leg is lifted: hip, knee and toes bend a little more than the stride needs
        c[f'{side}_hip_flex'] = offset + hip * np.cos(p) + 0.22 * bump(p, 4.9, 0.7)
        c[f'{side}_knee'] = 0.07 + stance * bump(p, 0.45, 0.6) + swing * bump(p, 4.45, 0.75)
        swinging = 0.04 + 0.34 * bump(p, 5.0, 0.8) - push * bump(p, 3.5, 0.4)
        flat = c[f'{side}_knee'] - c[f'{side}_hip_flex']  # keeps the carrying sole level
        weight = ease(1.6 * bump(p, 1.4, 0.95))
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
    up = ease(t / 0.7)
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
    crouch = pulse(local, 0.62 * (period - flight), 0.22, period)
    crouch += 0.6 * pulse(local, 0.0, 0.12, period)
    swing = pulse(local, period - flight * 0.6, 0.26, period)
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
    low = ease(low * 1.25) * rng.uniform(0.8, 1.0)
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
    low = ease(0.6 - 0.75 * np.cos(2 * np.pi * (t + rng.uniform(0, period)) / period))
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


def cartwheel(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Turn over sideways on the hands, stand, and turn over again."""
    period, sign = rng.uniform(2.2, 3.0), rng.choice([-1, 1])
    cycles = (t + rng.uniform(0, period)) / period
    turn = ease((cycles % 1 - 0.2) / 0.65)
    spread = ease(1.5 * np.sin(np.pi * turn))
    c = {'pelvis_roll': sign * 2 * np.pi * (np.floor(cycles) + turn)}
    for side in ('left', 'right'):
        c[f'{side}_arm_abduct'] = 0.3 + 2.55 * spread
        c[f'{side}_elbow'] = np.full_like(t, 0.1)
        c[f'{side}_hip_abduct'] = 0.1 + rng.uniform(0.5, 0.9) * spread
        c[f'{side}_knee'] = 0.08 + 0.25 * (1 - spread)
        c[f'{side}_hip_flex'] = 0.1 * (1 - spread)
        c[f'{side}_ankle'] = -0.3 * spread
    return c


def pushup(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Push-ups on hands and toes."""
    beat = 0.5 - 0.5 * np.cos(2 * np.pi * rng.uniform(0.4, 0.7) * t + rng.uniform(0, 6))
    elbow = 0.15 + rng.uniform(1.2, 1.9) * beat
    # shoulders as high as the bent arms reach, the toes on the ground: this tilts the body
    reach = 0.162 * 2 * np.cos(elbow / 2) + 0.08
    pitch = np.pi / 2 - np.arcsin(reach / 0.83)
    c = {'pelvis_pitch': pitch, 'neck_pitch': -0.35 + 0.2 * smooth_noise(t, rng),
         'spine_pitch': np.full_like(t, 0.04)}  # fmt: skip
    for side in ('left', 'right'):
        c[f'{side}_arm_flex'] = pitch - elbow / 2
        c[f'{side}_elbow'] = elbow
        c[f'{side}_arm_abduct'] = np.full_like(t, rng.uniform(0.15, 0.4))
        c[f'{side}_hip_flex'] = np.full_like(t, 0.03)
        c[f'{side}_knee'] = np.full_like(t, 0.04)
        c[f'{side}_ankle'] = np.full_like(t, 0.35)
    return c


def stretch(t: np.ndarray, rng: np.random.Generator) -> Channels:
    """Legs astride, arms raised, bend from side to side."""
    beat = np.sin(2 * np.pi * rng.uniform(0.25, 0.5) * t + rng.uniform(0, 6))
    up = ease(t / 0.8)
    arms = rng.uniform(1.4, 2.9)
    c = {'spine_roll': 0.55 * beat * up, 'pelvis_roll': 0.08 * beat * up,
         'neck_roll': 0.15 * beat * up}  # fmt: skip
    for side, sign in (('left', 1), ('right', -1)):
        c[f'{side}_hip_abduct'] = 0.08 + up * (0.28 - sign * 0.08 * beat)
        c[f'{side}_arm_abduct'] = 0.16 + up * (arms - 0.3 * sign * beat)
        c[f'{side}_elbow'] = 0.2 + 0.3 * smooth_noise(t, rng) ** 2
        c[f'{side}_hip_twist'] = np.full_like(t, 0.3)
    return c


_ALL = (
    walk, run, wave, jump, sit, turn, throw, kick, dance, bend, stand, cartwheel, pushup, stretch,
)  # fmt: skip
#: Every motion by its name.
MOTIONS: dict[str, Callable[[np.ndarray, np.random.Generator], Channels]] = {
    motion.__name__: motion for motion in _ALL
}
