"""Which frame of a clip is the target: the one place that says it for every model."""

__all__ = ['TARGETS', 'check_target', 'target_index']

TARGETS = ('centre', 'last')


def check_target(target: str, allowed: tuple[str, ...] = TARGETS) -> str:
    """Return ``target`` if it is allowed.

    Raises:
        ValueError: If it is not.
    """
    if target not in allowed:
        raise ValueError(f'target is {target!r}; it must be one of {allowed}')
    return target


def target_index(num_frames: int, target: str) -> int:
    """Position of the target frame in a clip of ``num_frames`` (>= 1) frames in time order.

    The centre of an even number of frames is the later of the middle two.

    Example:
        >>> target_index(5, 'centre'), target_index(4, 'centre'), target_index(5, 'last')
        (2, 2, 4)
    """
    if num_frames < 1:
        raise ValueError(f'the clip has {num_frames} frames; it needs at least 1')
    return num_frames - 1 if check_target(target) == 'last' else num_frames // 2
