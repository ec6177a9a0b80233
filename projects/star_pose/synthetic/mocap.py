"""Real motion capture as an alternative to the parametric motions."""

import pathlib

import numpy as np

from .skeleton import JOINTS, joint_index, unit

__all__ = ['MotionLibrary']

# Joints of the CMU skeleton (each point is the end of the bone of that name) for ours.
_CMU = {
    'pelvis': 'root', 'spine': 'lowerback', 'chest': 'upperback', 'neck': 'lowerneck',
    'left_shoulder': 'lclavicle', 'right_shoulder': 'rclavicle', 'left_elbow': 'lhumerus',
    'right_elbow': 'rhumerus', 'left_wrist': 'lradius', 'right_wrist': 'rradius',
    'left_hip': 'lhipjoint', 'right_hip': 'rhipjoint', 'left_knee': 'lfemur',
    'right_knee': 'rfemur', 'left_ankle': 'ltibia', 'right_ankle': 'rtibia',
    'left_toe': 'ltoes', 'right_toe': 'rtoes', 'left_hand': 'lfingers', 'right_hand': 'rfingers',
}  # fmt: skip
_HEAD = ('upperneck', 'head')
# A marker that jumps faster than this was lost; the window is not used.
_MAX_SPEED = 14.0


class MotionLibrary:
    """Windows of joint positions from an npz file of motion capture.

    The file holds `names` (31 CMU joints) and any number of trials ``(frames, 31, 3)`` in metres,
    y up, at 30 frames a second.

    Args:
        path: The npz file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no npz archive, lacks joints, or a trial has another shape.
    """

    fps = 30.0

    def __init__(self, path: str | pathlib.Path) -> None:
        self.path = pathlib.Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f'motion file {self.path} does not exist')
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except Exception as error:
            raise ValueError(
                f'motion file {self.path} is not a readable npz archive ({error}); expected `names`'
                ' and trials (frames, joints, 3)'
            ) from error
        if 'names' not in arrays or len(arrays) < 2:
            raise ValueError(
                f'motion file {self.path} holds {sorted(arrays)}; expected `names` (31 joints) and'
                ' at least one trial (frames, joints, 3)'
            )
        names = [str(name) for name in arrays.pop('names')]
        missing = sorted({*_CMU.values(), *_HEAD} - set(names))
        if missing:
            raise ValueError(f'motion file {self.path}: `names` lacks the joints {missing}')
        self.trials = {}
        for trial, positions in sorted(arrays.items()):
            if positions.ndim != 3 or positions.shape[1:] != (len(names), 3):
                raise ValueError(
                    f'motion file {self.path}: trial {trial!r} has shape {positions.shape},'
                    f' expected (frames, {len(names)}, 3)'
                )
            if not np.isfinite(positions).all():
                raise ValueError(f'motion file {self.path}: trial {trial!r} holds NaN or infinity')
            self.trials[trial] = self._convert(positions.astype(np.float64), names)

    @staticmethod
    def _convert(positions: np.ndarray, names: list[str]) -> np.ndarray:
        """(F, 31, 3) of the file to our (F, J, 3): adds what markers do not give."""
        source = {name: positions[:, i] for i, name in enumerate(names)}
        p = {ours: source[theirs].copy() for ours, theirs in _CMU.items()}
        lateral = unit(p['left_shoulder'] - p['right_shoulder'])
        up = unit(source['head'] - source['lowerneck'])
        lateral = unit(lateral - (lateral * up).sum(-1, keepdims=True) * up)
        forward = np.cross(lateral, up)
        leg = np.linalg.norm(p['left_hip'] - p['left_knee'], axis=-1).mean()
        leg += np.linalg.norm(p['left_knee'] - p['left_ankle'], axis=-1).mean()
        size = leg / 0.482  # stature from the proportions of the leg
        p['head_bottom'] = source['upperneck'] + forward * 0.004 * size
        p['head_top'] = p['head_bottom'] + up * 0.130 * size
        p['nose'] = p['head_bottom'] + (up * 0.045 + forward * 0.066) * size
        for side, sign in (('left', 1), ('right', -1)):
            p[f'{side}_ear'] = p['head_bottom'] + (up * 0.054 + sign * lateral * 0.043) * size
            foot = unit(p[f'{side}_toe'] - p[f'{side}_ankle'])
            shank = unit(p[f'{side}_ankle'] - p[f'{side}_knee'])
            p[f'{side}_heel'] = p[f'{side}_ankle'] + (shank * 0.034 - foot * 0.03) * size
            reach = unit(p[f'{side}_hand'] - p[f'{side}_wrist'])
            p[f'{side}_hand'] = p[f'{side}_wrist'] + reach * 0.095 * size
        return np.stack([p[name] for name in JOINTS], axis=1).astype(np.float32)

    def window(
        self, frames: int, stature: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, str]:
        """Cut a window at random and scale it to a stature.

        A trial shorter than the window is played forwards and backwards.

        Args:
            frames: Length F.
            stature: Height of the figure that performs it, metres.
            rng: Draws trial and begin; windows with lost markers are drawn again.

        Returns:
            Positions (F, J, 3), the pelvis of frame 0 above the origin, the lowest point of the
            window on the ground; and the trial's name.
        """
        names = sorted(self.trials)
        for _ in range(50):
            name = names[int(rng.integers(len(names)))]
            trial = self.trials[name]
            start = int(rng.integers(max(1, len(trial) - frames + 1)))
            index = np.arange(start, start + frames) % max(1, 2 * len(trial) - 2)
            index = np.where(index >= len(trial), 2 * len(trial) - 2 - index, index)
            window = trial[np.clip(index, 0, len(trial) - 1)]
            speed = np.linalg.norm(np.diff(window, axis=0), axis=-1).max(initial=0) * self.fps
            if speed <= _MAX_SPEED:
                break
        else:
            raise ValueError(
                f'motion file {self.path}: no window of {frames} frames without jumps beyond'
                f' {_MAX_SPEED} m/s; give a cleaner file or fewer frames'
            )
        knee, hip, ankle = joint_index('left_knee', 'left_hip', 'left_ankle')
        leg = np.linalg.norm(window[:, hip] - window[:, knee], axis=-1).mean()
        leg += np.linalg.norm(window[:, knee] - window[:, ankle], axis=-1).mean()
        window = window * (stature * 0.482 / leg)
        window[..., [0, 2]] -= window[:1, :1, [0, 2]]
        window[..., 1] -= window[..., 1].min()  # climbers and hangers come down to the floor
        return window, name
