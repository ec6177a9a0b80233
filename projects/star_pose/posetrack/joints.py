"""The joints of PoseTrack: names, the order of the evaluated fifteen, the columns of tables."""

from collections.abc import Sequence

import numpy as np

__all__ = ['GROUPS', 'JOINTS', 'KEYPOINTS', 'LIMBS', 'group_means', 'joint_columns']

# The order of the annotations. Ears are in the files and are never labelled.
KEYPOINTS = (
    'nose', 'head_bottom', 'head_top', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder',
    'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee',
    'right_knee', 'left_ankle', 'right_ankle',
)  # fmt: skip

# The order in which poseval reports, so that results can be compared value by value. Its 'neck' is
# the annotations' 'head_bottom'.
JOINTS = (
    'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle', 'right_wrist',
    'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist', 'neck', 'nose',
    'head_top',
)  # fmt: skip

GROUPS = {
    'Head': ('head_top', 'neck', 'nose'),
    'Shou': ('right_shoulder', 'left_shoulder'),
    'Elb': ('right_elbow', 'left_elbow'),
    'Wri': ('right_wrist', 'left_wrist'),
    'Hip': ('right_hip', 'left_hip'),
    'Knee': ('right_knee', 'left_knee'),
    'Ankl': ('right_ankle', 'left_ankle'),
}

# Pairs of rows in JOINTS, for drawing.
LIMBS = tuple(
    (JOINTS.index(start), JOINTS.index(end))
    for start, end in (
        ('head_top', 'nose'), ('nose', 'neck'), ('neck', 'right_shoulder'),
        ('neck', 'left_shoulder'), ('right_shoulder', 'right_elbow'),
        ('right_elbow', 'right_wrist'), ('left_shoulder', 'left_elbow'),
        ('left_elbow', 'left_wrist'), ('right_shoulder', 'right_hip'),
        ('left_shoulder', 'left_hip'), ('right_hip', 'left_hip'), ('right_hip', 'right_knee'),
        ('right_knee', 'right_ankle'), ('left_hip', 'left_knee'), ('left_knee', 'left_ankle'),
    )
)  # fmt: skip


def joint_columns(names: Sequence[str]) -> np.ndarray:
    """Find the evaluated joints among the keypoints of a file or a model.

    Args:
        names: The K keypoint names, in order.

    Returns:
        The index in ``names`` of each of the 15 joints of ``JOINTS``, (15,).

    Raises:
        ValueError: When a joint is missing.
    """
    places = {'neck' if name == 'head_bottom' else name: i for i, name in enumerate(names)}
    missing = [joint for joint in JOINTS if joint not in places]
    if missing:
        raise ValueError(
            f'keypoint names {list(names)} lack {missing}: PoseTrack is evaluated on 15 joints '
            f'({", ".join(KEYPOINTS)} without the ears)'
        )
    return np.array([places[joint] for joint in JOINTS])


def group_means(values: np.ndarray) -> dict[str, float]:
    """Average joints to the seven columns of the field's tables.

    A column with an unlabelled joint (NaN) is NaN, as poseval prints it.

    Args:
        values: One value a joint, in the order of ``JOINTS``, (15,).

    Returns:
        The mean of each column of ``GROUPS``.
    """
    return {
        group: float(np.mean([values[JOINTS.index(joint)] for joint in joints]))
        for group, joints in GROUPS.items()
    }
