"""What a figure looks like: build, skin, hair, clothes and their patterns.

Colours are BGR in [0, 255], one a quad; patterns live in body coordinates (station and angle), so
they move, bend and foreshorten with the body as cloth does.
"""

import colorsys
import dataclasses

import numpy as np

from .body import REGIONS, BodyMesh, Build

__all__ = ['Person', 'paint', 'random_person']

# BGR; a range of human skin and hair colours
_SKIN = np.array([
    (168, 196, 232), (152, 184, 224), (135, 170, 215), (110, 150, 200), (88, 125, 178),
    (66, 100, 150), (50, 76, 118), (38, 56, 88),
])  # fmt: skip
_HAIR = np.array([
    (18, 18, 22), (28, 34, 46), (34, 50, 76), (48, 78, 118), (92, 150, 196), (40, 70, 140),
    (150, 152, 156), (205, 208, 212),
])  # fmt: skip
_PATTERNS = ('plain', 'plain', 'hoops', 'bars', 'plaid', 'block', 'logo', 'camouflage', 'sides')
_FRONT = 1.5 * np.pi  # the angle of the torso's front (its depth axis points back)


@dataclasses.dataclass(frozen=True)
class Person:
    """A figure's build and the seeds of its colours."""

    build: Build
    skin: np.ndarray
    hair: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    second: np.ndarray
    shoe: np.ndarray
    sock: np.ndarray
    pattern: str
    stripe: float
    phase: np.ndarray


def _cloth(rng: np.random.Generator) -> np.ndarray:
    """A colour of cloth: often grey, black, white or navy, sometimes vivid."""
    if rng.random() < 0.4:
        grey = rng.choice([24, 45, 90, 150, 215, 238]) + rng.uniform(-12, 12)
        return np.clip(grey + rng.uniform(-6, 6, 3), 8, 250)
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.25, 0.9), rng.uniform(0.25, 0.92))
    return np.array(rgb[::-1]) * 255


def random_person(rng: np.random.Generator) -> Person:
    """Draw one figure: child or adult, slim or stout, any clothes."""
    child = rng.random() < 0.15
    stature = rng.uniform(1.05, 1.5) if child else np.clip(rng.normal(1.72, 0.1), 1.48, 2.0)
    curvy = rng.random() < 0.5
    skirt = float(rng.uniform(0.45, 1.2)) if curvy and rng.random() < 0.3 else 0.0
    hem = float(rng.choice([1.93, 1.93, 1.93, 0.85, 0.55, 0.3, 1.4]))
    styles = ['short', 'long', 'bun', 'tail', 'long'] if curvy else ['short', 'short', 'bald']
    build = Build(
        stature=float(stature),
        girth=float(np.clip(rng.normal(1.02, 0.1), 0.84, 1.32)),
        shoulders=float(rng.uniform(0.88, 0.96) if curvy else rng.uniform(0.98, 1.1)),
        hips=float(rng.uniform(1.02, 1.14) if curvy else rng.uniform(0.92, 1.02)),
        belly=float(max(0.0, rng.normal(0.0, 0.014))),
        sleeve=float(rng.choice([0.0, 0.3, 0.5, 0.5, 0.6, 1.4, 1.93, 1.93])),
        leg_hem=0.0 if skirt else hem,
        top_hem=float(rng.choice([0.25, 0.1, -0.2, -0.45])),
        looseness=float(rng.uniform(0.002, 0.012)),
        skirt=skirt,
        hair='cap' if rng.random() < 0.14 else str(rng.choice(styles)),
        hair_volume=float(rng.uniform(0.003, 0.012)),
    )
    top = _cloth(rng)
    return Person(
        build=build,
        skin=_SKIN[rng.integers(len(_SKIN))] * rng.uniform(0.94, 1.05) * rng.uniform(0.98, 1.02, 3),
        hair=_HAIR[rng.integers(len(_HAIR))] * rng.uniform(0.85, 1.15),
        top=top,
        bottom=top if skirt and rng.random() < 0.5 else _cloth(rng),
        second=_cloth(rng),
        shoe=_cloth(rng),
        sock=np.array([225.0, 225, 225]) if rng.random() < 0.6 else _cloth(rng),
        pattern=str(rng.choice(_PATTERNS)),
        stripe=float(rng.uniform(2.5, 6.0)),
        phase=rng.uniform(0, 2 * np.pi, 8),
    )


def _pattern(person: Person, station: np.ndarray, angle: np.ndarray, torso: bool) -> np.ndarray:
    """Share (M,) of the second colour at body coordinates of the top."""
    s, front = station, np.cos(angle - _FRONT)
    kind, k, phase = person.pattern, person.stripe, person.phase
    if kind == 'hoops':
        return (np.sin(2 * np.pi * k * s / 2 + phase[0]) > 0.2).astype(float)
    if kind == 'bars':
        return (np.sin(2 * k * angle + phase[0]) > 0.3).astype(float)
    if kind == 'plaid':
        return 0.5 * (np.sin(np.pi * k * s) > 0) + 0.5 * (np.sin(2 * k * angle) > 0)
    if kind == 'block':
        return (s > 1.9).astype(float) if torso else np.ones_like(s)
    if kind == 'logo':
        size = 0.18 + 0.3 * (phase[1] % 1)
        chest = (np.abs(s - 2.05) < size) & (np.abs(front) > 0.82)
        ragged = np.sin(9 * s + phase[2]) * np.sin(7 * angle + phase[3]) > -0.35
        return (chest & ragged).astype(float) if torso else np.zeros_like(s)
    if kind == 'camouflage':
        waves = np.sin(5 * s + phase[0] + 2 * np.sin(2 * angle + phase[1]))
        return (waves * np.sin(3 * angle + phase[2] + 2 * np.sin(4 * s)) > 0.1).astype(float)
    if kind == 'sides':
        return (np.abs(front) < 0.4).astype(float) if torso else np.zeros_like(s)
    return np.zeros_like(s)


def _folds(person: Person, station: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Brightness (M,) of the cloth's folds: slanted waves that differ from person to person."""
    a, b, c = person.phase[4:7]
    waves = np.sin(6.1 * station + 2 * angle + a) + np.sin(9.7 * station - 3 * angle + b)
    return 1 + 0.055 * (waves + np.sin(17 * station + angle + c))


def paint(person: Person, mesh: BodyMesh) -> np.ndarray:
    """Colour every quad of a mesh.

    Args:
        person: The figure.
        mesh: Its mesh.

    Returns:
        (M, 3) float32 BGR, the light not yet applied; baked shade in creases included.
    """
    b, region = person.build, np.array(REGIONS)[mesh.region]
    s, angle = mesh.station, mesh.angle
    colour = np.tile(person.skin, (len(s), 1)).astype(np.float64)
    folds = _folds(person, s, angle)[:, None]

    torso = region == 'torso'
    arms, legs = (
        np.isin(region, ['left_arm', 'right_arm']),
        np.isin(region, ['left_leg', 'right_leg']),
    )
    share = np.where(torso, _pattern(person, s, angle, True), _pattern(person, s, angle, False))
    top = (person.top + (person.second - person.top) * share[:, None]) * folds
    dressed = (torso & (s > b.top_hem) & (s < 3.08)) | (arms & (s < b.sleeve) & (b.sleeve > 0))
    if b.sleeve == 0:  # a vest leaves the shoulders bare
        dressed &= ~(torso & (s > 2.55) & (np.abs(np.cos(angle)) > 0.62))
    colour = np.where(dressed[:, None], top, colour)
    below = (torso & (s <= b.top_hem)) | (legs & (s < max(b.leg_hem, 0.12))) | (region == 'skirt')
    colour = np.where(below[:, None], person.bottom * folds, colour)
    socks = legs & (s > 1.72 + 0.02 * person.phase[7]) & (s >= b.leg_hem)
    colour = np.where(socks[:, None], person.sock, colour)

    feet = np.isin(region, ['left_foot', 'right_foot'])
    sole = feet & (np.sin(angle) < -0.45)
    colour[feet] = person.shoe
    colour[sole] = (215, 215, 215) if person.phase[0] > 2 else (40, 40, 44)
    hair = region == 'hair'
    strands = 1 + 0.12 * np.sin(11 * angle + person.phase[1]) + 0.05 * np.sin(160 * s)
    colour[hair] = ((person.second if b.hair == 'cap' else person.hair) * strands[:, None])[hair]
    colour = _paint_face(person, mesh, region, colour)

    crease = np.ones(len(s))
    crease -= torso * 0.25 * np.exp(-(((s - 3.55) / 0.25) ** 2))  # under the chin
    crease -= (torso | legs) * 0.22 * np.exp(-((np.where(torso, (s + 0.7) / 0.3, s / 0.12)) ** 2))
    crease -= arms * 0.18 * np.exp(-(((s - 0.02) / 0.12) ** 2))
    return np.clip(colour * crease[:, None], 0, 255).astype(np.float32)


def _paint_face(person: Person, mesh: BodyMesh, region: np.ndarray, colour: np.ndarray):
    """Colours of eyes, brows, nose and mouth, and of a beard on some."""
    names = mesh.face_details
    look = {
        'eye': np.array([232.0, 234, 236]) * 0.96,
        'iris': np.array([40.0, 44, 52]),
        'brow': person.hair * 0.8,
        'mouth': person.skin * (0.62, 0.58, 0.82),
        'nose': person.skin * (0.97, 0.97, 1.0),
        'under': person.skin * 0.72,
    }
    for i in np.flatnonzero(region == 'face'):
        kind = names[int(mesh.angle[i])].split('_')
        colour[i] = look.get(kind[-1], look.get(kind[0], person.skin))
    if person.build.hips < 1.0 and person.build.stature > 1.55 and person.phase[2] < 1.6:
        front = np.cos(mesh.angle - _FRONT)
        beard = (region == 'head') & (mesh.station < 0.014) & (front > -0.2)
        colour[beard] = 0.35 * person.skin + 0.65 * person.hair
    return colour
