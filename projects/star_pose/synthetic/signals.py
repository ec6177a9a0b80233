"""Functions of time that motions and cameras are made of."""

import numpy as np

__all__ = ['bump', 'ease', 'pulse', 'smooth_noise']


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


def bump(phase: np.ndarray, centre: float, width: float) -> np.ndarray:
    """A smooth bump of height 1 on the circle of phases (radians)."""
    return np.exp((np.cos(phase - centre) - 1) / width**2)


def pulse(time: np.ndarray, centre: float, width: float, period: float) -> np.ndarray:
    """A Gaussian of height 1 that comes back every period."""
    away = (time - centre + period / 2) % period - period / 2
    return np.exp(-((away / width) ** 2))


def ease(x: np.ndarray) -> np.ndarray:
    """A smooth step from 0 at 0 to 1 at 1."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
