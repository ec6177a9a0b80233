"""Proportions of the body's surface: cross-sections along limbs and torso.

All lengths are shares of the stature. A profile is a table of rows ``(station, half width, half
depth, shift)``; a station counts joints along the part's chain (0 the first joint, 1.5 halfway
between the second and the third) and the shift moves the section's centre along its depth axis.
"""

import numpy as np

__all__ = ['ARM', 'FOOT', 'HAND', 'LEG', 'TORSO', 'sections']

# fmt: off
ARM = np.array([
    (-0.15, 0.005, 0.005, 0), (-0.115, 0.018, 0.018, 0), (-0.04, 0.027, 0.027, 0),
    (0.10, 0.0305, 0.0305, 0), (0.35, 0.0305, 0.0305, 0), (0.65, 0.028, 0.028, 0),
    (0.90, 0.024, 0.024, 0), (1.00, 0.0235, 0.0235, 0), (1.18, 0.026, 0.025, 0),
    (1.40, 0.0245, 0.023, 0), (1.70, 0.0185, 0.018, 0), (1.92, 0.0160, 0.0145, 0),
    (2.04, 0.0155, 0.0135, 0),
])
LEG = np.array([
    (-0.16, 0.020, 0.030, 0), (-0.06, 0.046, 0.056, -0.006), (0.08, 0.052, 0.060, -0.006),
    (0.30, 0.050, 0.056, 0), (0.60, 0.042, 0.046, 0.002), (0.88, 0.034, 0.036, 0.002),
    (1.00, 0.032, 0.035, 0.003), (1.12, 0.031, 0.033, -0.002), (1.28, 0.033, 0.036, -0.009),
    (1.45, 0.031, 0.033, -0.008), (1.70, 0.023, 0.024, -0.003), (1.90, 0.0185, 0.0205, 0),
    (2.06, 0.018, 0.021, 0),
])
# controls: pelvis, spine, chest, neck, head_bottom; the depth axis of the torso points back
TORSO = np.array([
    (-0.80, 0.012, 0.018, 0), (-0.68, 0.050, 0.040, 0), (-0.45, 0.080, 0.058, 0.004),
    (0.00, 0.091, 0.066, 0.006), (0.50, 0.085, 0.060, 0.000), (1.00, 0.077, 0.055, -0.003),
    (1.50, 0.084, 0.060, -0.002), (2.00, 0.095, 0.066, 0.000), (2.45, 0.101, 0.065, 0.002),
    (2.70, 0.101, 0.055, 0.004), (2.86, 0.090, 0.046, 0.006), (3.05, 0.058, 0.038, 0.006),
    (3.22, 0.034, 0.033, 0.004), (3.50, 0.0285, 0.030, 0.002), (4.00, 0.0280, 0.031, 0.0),
    (4.55, 0.020, 0.024, 0.0),
])
HAND = np.array([
    (-0.08, 0.0125, 0.0115, 0), (0.10, 0.0165, 0.0115, 0), (0.35, 0.0225, 0.0105, 0),
    (0.60, 0.0220, 0.0095, 0), (0.85, 0.0175, 0.0080, 0), (0.98, 0.0090, 0.0060, 0),
    (1.02, 0.0010, 0.0010, 0),
])
# station from heel to toe; the depth is half the height of the shoe over its sole
FOOT = np.array([
    (-0.14, 0.004, 0.010, 0), (-0.09, 0.017, 0.018, 0), (0.05, 0.0215, 0.0230, 0),
    (0.25, 0.0220, 0.0250, 0), (0.50, 0.0250, 0.0185, 0), (0.75, 0.0285, 0.0130, 0),
    (0.95, 0.0250, 0.0110, 0), (1.06, 0.0140, 0.0090, 0), (1.09, 0.0030, 0.0050, 0),
])
# fmt: on


def sections(profile: np.ndarray, count: int, hems: tuple[float, ...] = ()) -> np.ndarray:
    """Resample a profile at `count` stations, plus a doubled one at every hem of a garment.

    Args:
        profile: (R, 4) rows as the module says.
        count: Number of evenly spread stations.
        hems: Stations where a garment ends: two sections a hair's breadth apart stand there.

    Returns:
        (n, 4) rows, the stations ascending.
    """
    first, last = profile[0, 0], profile[-1, 0]
    # the ends are caps: always keep their rows, spread the rest over the middle
    ends = [profile[0, 0], profile[1, 0], profile[-2, 0], profile[-1, 0]]
    spread = np.linspace(profile[1, 0], profile[-2, 0], max(count - 2, 3))[1:-1]
    cuts = [h + d for h in hems if first < h < last for d in (0.0, 1e-3)]
    stations = np.unique(np.concatenate([ends, spread, cuts]))
    return np.stack([stations, *(np.interp(stations, profile[:, 0], c) for c in profile.T[1:])], 1)
