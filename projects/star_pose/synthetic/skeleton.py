"""The articulated figure: joints, body proportions and forward kinematics.

World axes are right-handed, in metres: x to the left of a figure that faces +z, y up, z forward.
A pose is an array of joint positions ``(F, J, 3)`` whatever it comes from, angles or motion
capture, so that everything after this module knows positions only.
"""

import numpy as np

__all__ = ['CHANNELS', 'JOINTS', 'forward_kinematics', 'joint_index', 'unit']

JOINTS = (
    'pelvis', 'spine', 'chest', 'neck', 'head_bottom', 'head_top', 'nose', 'left_ear', 'right_ear',
    'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist',
    'left_hand', 'right_hand', 'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle',
    'right_ankle', 'left_toe', 'right_toe', 'left_heel', 'right_heel',
)  # fmt: skip

_SIDED = (
    'arm_flex', 'arm_abduct', 'arm_twist', 'elbow',
    'hip_flex', 'hip_abduct', 'hip_twist', 'knee', 'ankle',
)  # fmt: skip

#: Degrees of freedom of a choreography: angles in radians, `lift` (height of the lowest point
#: above the ground) in metres and `turn` (heading rate) in radians a second.
CHANNELS = (
    'pelvis_pitch', 'pelvis_roll', 'pelvis_yaw', 'spine_pitch', 'spine_roll', 'spine_yaw',
    'neck_pitch', 'neck_roll', 'neck_yaw', 'lift', 'turn',
    *(f'left_{name}' for name in _SIDED), *(f'right_{name}' for name in _SIDED),
)  # fmt: skip

# Offsets from the parent joint as shares of the stature, after the segment proportions of
# Drillis and Contini (1966); y is up, the left side is written and the right side mirrored.
_OFFSETS = {
    'spine': (0.0, 0.075, -0.004), 'chest': (0.0, 0.120, -0.004), 'neck': (0.0, 0.112, -0.004),
    'head_bottom': (0.0, 0.036, 0.010), 'head_top': (0.0, 0.130, -0.004),
    'nose': (0.0, 0.045, 0.066), 'ear': (0.043, 0.054, -0.006),
    'shoulder': (0.108, 0.094, -0.006), 'elbow': (0.0, -0.176, 0.0), 'wrist': (0.0, -0.148, 0.0),
    'hand': (0.0, -0.095, 0.0), 'hip': (0.052, -0.012, 0.0), 'knee': (0.0, -0.242, 0.0),
    'ankle': (0.0, -0.240, 0.0), 'toe': (0.0, -0.030, 0.108), 'heel': (0.0, -0.034, -0.034),
}  # fmt: skip

# Share of the stature by which flesh surrounds a joint that can touch the ground.
_CONTACTS = {'toe': 0.006, 'heel': 0.004, 'knee': 0.032, 'hand': 0.010, 'elbow': 0.025}
_BODY_CONTACTS = {'pelvis': 0.06, 'chest': 0.06, 'head_top': 0.0}


def joint_index(*names: str) -> list[int]:
    """Positions of joints in `JOINTS`."""
    return [JOINTS.index(name) for name in names]


def unit(v: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) of length 1."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def _rotation(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotation matrices (F, 3, 3) about one of the axes x, y, z by `angle` (F,)."""
    cos, sin = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:, axis, axis] = 1
    matrix[:, i, i], matrix[:, i, j] = cos, -sin
    matrix[:, j, i], matrix[:, j, j] = sin, cos
    return matrix


def _euler(pitch: np.ndarray, roll: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    return _rotation(1, yaw) @ _rotation(2, roll) @ _rotation(0, pitch)


def forward_kinematics(channels: np.ndarray, stature: float, fps: float) -> np.ndarray:
    """Turn joint angles into joint positions of a figure that stands on the ground.

    The root is not animated: its height follows from the lowest point of the body plus `lift`, and
    its horizontal path from the foot that carries the weight, which stays where it is. A gait thus
    moves the figure by exactly the steps it takes.

    Args:
        channels: (F, C) values of `CHANNELS`, one row a frame.
        stature: Height of the figure, metres.
        fps: Frames a second of `channels`.

    Returns:
        (F, J, 3) positions in metres. Frame 0 has the pelvis above the origin, facing +z.
    """
    if channels.ndim != 2 or channels.shape[1] != len(CHANNELS):
        raise ValueError(
            f'channels must be (F, {len(CHANNELS)}), got {channels.shape}; one column a channel'
        )
    c = {name: channels[:, i].astype(np.float64) for i, name in enumerate(CHANNELS)}
    offset = {name: np.array(value) * stature for name, value in _OFFSETS.items()}
    heading = np.cumsum(c['turn']) / fps

    pelvis = _rotation(1, heading) @ _euler(c['pelvis_pitch'], c['pelvis_roll'], c['pelvis_yaw'])
    half_bend = _euler(c['spine_pitch'] / 2, c['spine_roll'] / 2, c['spine_yaw'] / 2)
    spine = pelvis @ half_bend
    chest = spine @ half_bend
    head = chest @ _euler(c['neck_pitch'], c['neck_roll'], c['neck_yaw'])

    p = {'pelvis': np.zeros((len(channels), 3))}
    p['spine'] = pelvis @ offset['spine']
    p['chest'] = p['spine'] + spine @ offset['chest']
    p['neck'] = p['chest'] + chest @ offset['neck']
    p['head_bottom'] = p['neck'] + head @ offset['head_bottom']
    p['head_top'] = p['head_bottom'] + head @ offset['head_top']
    p['nose'] = p['head_bottom'] + head @ offset['nose']
    for side, sign in (('left', 1), ('right', -1)):
        mirror = np.array([sign, 1, 1])
        p[f'{side}_ear'] = p['head_bottom'] + head @ (offset['ear'] * mirror)
        _limbs(p, c, offset, side, sign, pelvis, chest)

    positions = np.stack([p[name] for name in JOINTS], axis=1)  # (F, J, 3)
    return _stand_on_ground(positions, c['lift'], stature, fps)


def _limbs(p, c, offset, side, sign, pelvis, chest) -> None:
    """Add one side's arm and leg to the positions `p`."""
    mirror = np.array([sign, 1, 1])
    abduct = c[f'{side}_arm_abduct']
    # the collar bone lifts the shoulder once the arm is above the horizontal
    raised = np.maximum(np.abs(abduct), np.abs(c[f'{side}_arm_flex'])) - np.pi / 2
    shrug = np.clip(raised, 0, 1.2)[:, None] * np.array([-0.1 * sign, 0.25, 0]) * offset['ear'][1]
    shoulder = p['chest'] + np.einsum('fij,fj->fi', chest, offset['shoulder'] * mirror + shrug)
    arm = chest @ _rotation(2, sign * abduct) @ _rotation(0, -c[f'{side}_arm_flex'])
    arm = arm @ _rotation(1, sign * c[f'{side}_arm_twist'])
    forearm = arm @ _rotation(0, -c[f'{side}_elbow'])
    p[f'{side}_shoulder'] = shoulder
    p[f'{side}_elbow'] = shoulder + arm @ offset['elbow']
    p[f'{side}_wrist'] = p[f'{side}_elbow'] + forearm @ offset['wrist']
    p[f'{side}_hand'] = p[f'{side}_wrist'] + forearm @ _hand_bend() @ offset['hand']

    thigh = pelvis @ _rotation(2, sign * c[f'{side}_hip_abduct'])
    thigh = thigh @ _rotation(0, -c[f'{side}_hip_flex'])
    thigh = thigh @ _rotation(1, sign * c[f'{side}_hip_twist'])
    shank = thigh @ _rotation(0, c[f'{side}_knee'])
    foot = shank @ _rotation(0, -c[f'{side}_ankle'])
    p[f'{side}_hip'] = pelvis @ (offset['hip'] * mirror)
    p[f'{side}_knee'] = p[f'{side}_hip'] + thigh @ offset['knee']
    p[f'{side}_ankle'] = p[f'{side}_knee'] + shank @ offset['ankle']
    p[f'{side}_toe'] = p[f'{side}_ankle'] + foot @ offset['toe']
    p[f'{side}_heel'] = p[f'{side}_ankle'] + foot @ offset['heel']


def _hand_bend() -> np.ndarray:
    """A relaxed hand continues the forearm slightly bent: (1, 3, 3)."""
    return _rotation(0, np.array([-0.15]))


def _stand_on_ground(positions, lift, stature, fps) -> np.ndarray:
    """Place root-relative positions (F, J, 3) so that the carrying foot does not slide."""
    names = [f'{side}_{part}' for part in _CONTACTS for side in ('left', 'right')]
    margins = [_CONTACTS[part] for part in _CONTACTS for _ in range(2)]
    names, margins = names + list(_BODY_CONTACTS), margins + list(_BODY_CONTACTS.values())
    contacts = positions[:, joint_index(*names)]  # (F, N, 3)
    height = contacts[..., 1] - np.array(margins) * stature
    lowest = height.min(axis=1, keepdims=True)
    # a soft choice hands the weight over within about 2 cm of height, without a jerk
    weight = np.exp(-(height - lowest) / 0.012)
    weight /= weight.sum(axis=1, keepdims=True)

    path = np.zeros((len(positions), 2))
    if len(positions) > 1:
        velocity = -np.gradient(contacts[..., [0, 2]], axis=0)
        carried = (weight[..., None] * velocity).sum(axis=1)  # (F, 2) metres a frame
        grounded = np.clip(1 - lift / 0.03, 0, 1)[:, None]
        # in the air the body keeps the speed of the contacts before and after
        kernel = np.hanning(int(0.5 * fps) | 1)
        share = _filter(grounded + 1e-6, kernel)
        flying = _filter(carried * (grounded + 1e-6), kernel) / share
        path = np.cumsum(carried * grounded + flying * (1 - grounded), axis=0)
        path -= path[0]
    placed = positions.copy()
    placed[..., [0, 2]] += path[:, None]
    placed[..., 1] += (lift - lowest[:, 0])[:, None]
    return placed


def _filter(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve every column of (F, D) with a kernel, F kept however short it is."""
    half = len(kernel) // 2
    full = [np.convolve(column, kernel)[half : half + len(column)] for column in values.T]
    return np.stack(full, axis=1)
