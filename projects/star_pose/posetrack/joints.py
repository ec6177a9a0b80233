"""The joints of PoseTrack: names, orders, limbs, and the columns of the field's tables."""

__all__ = ['CATEGORY', 'GROUPS', 'JOINTS', 'KEYPOINTS', 'LIMBS', 'ROWS']

# The order of the annotations. Ears are in the files and are never labelled.
KEYPOINTS = (
    'nose', 'head_bottom', 'head_top', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder',
    'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee',
    'right_knee', 'left_ankle', 'right_ankle',
)  # fmt: skip

# The order in which poseval reports, which is PoseTrack17's numbering of joints too. Its 'neck' is
# the annotations' 'head_bottom'.
JOINTS = (
    'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle', 'right_wrist',
    'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist', 'neck', 'nose',
    'head_top',
)  # fmt: skip

# Where each of JOINTS stands in KEYPOINTS.
ROWS = tuple(KEYPOINTS.index('head_bottom' if joint == 'neck' else joint) for joint in JOINTS)

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

# The one category of a label file, as the releases have it; its skeleton counts from 1.
CATEGORY = {
    'supercategory': 'person', 'id': 1, 'name': 'person', 'keypoints': list(KEYPOINTS),
    'skeleton': [
        [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9],
        [8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7],
    ],
}  # fmt: skip
