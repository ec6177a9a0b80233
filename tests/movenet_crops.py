"""Five crops of 256x192, RGB, from images that tests find everywhere or under STAR_POSE_TEST_DATA.

``python tests/movenet_crops.py FOLDER DATA`` writes them as raw bytes for ``movenet_oracle.mjs``.
"""

import pathlib
import sys

import cv2
import numpy as np
from skimage import data

__all__ = ['CROPS', 'PUBLIC', 'movenet_crop']

PUBLIC = ('astronaut', 'camera')
PRIVATE = {
    'jhmdb': 'mmpose_samples/jhmdb/Frisbee_catch_f_cm_np1_ri_med_0/00001.png',
    'handball_20': 'handball/18_20.png',
    'handball_45': 'handball/18_45.png',
}
CROPS = (*PUBLIC, *PRIVATE)


def movenet_crop(name: str, root: pathlib.Path | None = None) -> np.ndarray:
    """Return a crop (256, 192, 3), RGB, uint8: slices alone, so that every machine makes the same.

    Args:
        name: One of ``CROPS``.
        root: The folder of STAR_POSE_TEST_DATA, for those that are not in ``PUBLIC``.
    """
    crop = np.zeros((256, 192, 3), np.uint8)
    if name == 'astronaut':
        crop[:] = data.astronaut()[::2, :384:2]
    elif name == 'camera':
        crop[:] = data.camera()[::2, :384:2, None]
    else:
        image = cv2.imread(str(root / PRIVATE[name]))[..., ::-1]
        # JHMDB's frames have 240 rows and 320 columns, those of handball 800 and 300.
        part = image[:, 64:256] if name == 'jhmdb' else image[16:784:3, ::3]
        left = (192 - part.shape[1]) // 2
        crop[: len(part), left : left + part.shape[1]] = part
    return crop


if __name__ == '__main__':
    for each in CROPS:
        crop = movenet_crop(each, pathlib.Path(sys.argv[2]))
        (pathlib.Path(sys.argv[1]) / f'{each}.raw').write_bytes(crop.tobytes())
