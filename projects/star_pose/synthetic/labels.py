"""From a rendered frame's geometry to PoseTrack18's annotations.

The rule for occluded joints follows PoseTrack: what an annotator sees or can place is labelled. A
joint is left out (0, 0, 0) when it lies outside the image; when another person or a thing covers
most of its surroundings; or when it is an elbow, wrist, knee, ankle or part of the face that the
person's own body covers. Shoulders, hips and the ends of the head are placed through the own body.
"""

import cv2
import numpy as np

from ..posetrack.joints import KEYPOINTS
from .body import REGIONS
from .camera import Camera
from .render import SurfaceView
from .skeleton import joint_index

__all__ = ['annotate_person', 'detect_person', 'head_box', 'ignore_regions', 'visible_joints']

_EARS = ('left_ear', 'right_ear')
_COVERED = 0.6  # share of a joint's surroundings that must be covered
_PERSON_JOINTS = 4  # fewer labelled joints do not make a labelled person
# Parts of the own body that never hide a joint, and how far (m) in front of it others must lie.
_OWN = {
    'nose': (('face',), 0.05), 'ear': (('face',), 0.05),
    'elbow': (('arm',), 0.10), 'wrist': (('arm', 'hand'), 0.08),
    'knee': (('leg', 'skirt'), 0.13), 'ankle': (('leg', 'foot'), 0.10),
}  # fmt: skip


def _hiders() -> dict[str, tuple[np.ndarray, float]]:
    """By joint: which of `REGIONS` can hide it, (R,) bool, and the distance of `_OWN`."""
    table = {}
    for name in KEYPOINTS:
        side, _, part = name.rpartition('_')
        if part in _OWN:
            parts, gap = _OWN[part]
            harmless = {*parts, *(f'{side}_{p}' for p in parts)}
            table[name] = np.array([region not in harmless for region in REGIONS]), gap
    return table


_HIDERS = _hiders()


def visible_joints(
    joints: np.ndarray,
    owner: int,
    regions: np.ndarray,
    scene: SurfaceView,
    owners: np.ndarray,
    camera: Camera,
    stature: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Project a figure's keypoints and decide which an annotator would label.

    Args:
        joints: (J, 3) joint positions, metres.
        owner: The figure's number.
        regions: (M,) region of each of its quads.
        scene: The frame's quads.
        owners: (h, w) index of the quad each pixel shows, -1 for none.
        camera: The camera.
        stature: Height of the figure, metres.

    Returns:
        Pixels (17, 2) in PoseTrack's order, and whether each is labelled, (17,).
    """
    index = joint_index(*KEYPOINTS)
    pixels, depth = camera.project(joints[index].astype(np.float64))
    h, w = owners.shape
    labelled = np.zeros(len(index), bool)
    for k, name in enumerate(KEYPOINTS):
        x, y = pixels[k]
        if depth[k] < 0.2 or not (0 <= x <= w - 1 and 0 <= y <= h - 1):
            continue
        radius = max(1.0, 0.018 * stature * camera.focal / depth[k])
        left, top = max(0, int(x - radius + 0.5)), max(0, int(y - radius + 0.5))
        patch = owners[top : int(y + radius + 1.5), left : int(x + radius + 1.5)].ravel()
        shown = patch[patch >= 0]
        other = (scene.owner[shown] != owner) & (scene.depth[shown] < depth[k])
        if other.sum() > _COVERED * patch.size:
            continue
        if name in _HIDERS:
            hiders, gap = _HIDERS[name]
            own = shown[scene.owner[shown] == owner]
            hidden = hiders[regions[scene.quad[own]]]
            hidden &= scene.depth[own] < depth[k] - gap * stature / 1.7
            if hidden.sum() + other.sum() > _COVERED * patch.size:
                continue
        labelled[k] = True
    return pixels, labelled


def ignore_regions(
    shown: np.ndarray, ignored: list[int], kept: list[int], margin: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Polygons around what the image shows of unlabelled people, labelled ones left out.

    An ignore region removes every labelled joint inside it from the evaluation, so it must not
    lie over a labelled person who stands in front of a crowd.

    Args:
        shown: (h, w) number of the figure or prop each pixel shows, -1 for the backdrop.
        ignored: Numbers of the people to cover.
        kept: Numbers of the labelled people.
        margin: Pixels by which the regions exceed the people.

    Returns:
        The polygons' x and y, lists of equal lengths of whole pixels.
    """
    if not ignored:
        return [], []
    mask = np.isin(shown, ignored).astype(np.uint8)
    mask = cv2.dilate(mask, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
    mask[cv2.dilate(np.isin(shown, kept).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = 0
    # a polygon has no hole: cut through each
    holes, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for k, hole in enumerate(holes):
        if hierarchy[0, k, 3] >= 0:
            mask[:, int(hole[:, 0, 0].mean())] = 0
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = [cv2.approxPolyDP(c, 1.0, True)[:, 0] for c in contours]  # (n, 1, 2) -> (n, 2)
    polygons = [p for p in polygons if len(p) >= 3 and cv2.contourArea(p) > 12]
    return [p[:, 0].tolist() for p in polygons], [p[:, 1].tolist() for p in polygons]


def head_box(vertices: np.ndarray, camera: Camera) -> list[int]:
    """Axis-aligned box (x, y, w, h) around the head's vertices (V, 3), in whole pixels."""
    pixels, _ = camera.project(vertices)
    low, high = np.floor(pixels.min(axis=0)), np.ceil(pixels.max(axis=0))
    size = np.maximum(high - low, 1)
    return [int(v) for v in (*low, *size)]


def annotate_person(
    pixels: np.ndarray, labelled: np.ndarray, bbox_head: list[int], track: int, image_id: int,
    ears: bool,
) -> dict | None:  # fmt: skip
    """One entry of `annotations`, keys and order as in PoseTrack18's files.

    Args:
        pixels: (17, 2) keypoints.
        labelled: (17,) bool.
        bbox_head: Head box (x, y, w, h).
        track: Track id, unique in the video, 0-99.
        image_id: Id of the image.
        ears: Whether to label the ears, which PoseTrack never does.

    Returns:
        The entry, or None for a person with too few joints to be labelled.
    """
    labelled = labelled.copy()
    if not ears:
        labelled[[KEYPOINTS.index(name) for name in _EARS]] = False
    if labelled.sum() < _PERSON_JOINTS:
        return None
    keypoints = []
    for (x, y), seen in zip(pixels, labelled, strict=True):
        keypoints += [round(float(x), 3), round(float(y), 3), 1] if seen else [0, 0, 0]
    low, high = pixels[labelled].min(axis=0), pixels[labelled].max(axis=0)
    extent = np.maximum(high - low, 1.0)
    # PoseTrack18's boxes: the extent of the labelled joints, enlarged by 15 % at every side
    bbox = [*(low - 0.15 * extent), *(1.3 * extent)]
    return {
        'bbox_head': bbox_head,
        'keypoints': keypoints,
        'track_id': track,
        'image_id': image_id,
        'bbox': [round(float(v), 3) for v in bbox],
        'scores': [],
        'category_id': 1,
        'id': image_id * 100 + track,
        'iscrowd': False,
        'num_keypoints': int(labelled.sum()),
    }


def detect_person(
    vertices: np.ndarray, camera: Camera, visible: int, image_id: int, rng: np.random.Generator
) -> dict | None:
    """What a fair detector would report: the visible part's box, a little off, with a score.

    Args:
        vertices: (V, 3) of the person, metres.
        camera: The camera.
        visible: How many pixels show the person.
        image_id: Id of the image.
        rng: Draws the detector's errors and misses.

    Returns:
        An entry of a COCO result file, or None when the person is missed.
    """
    error, luck = rng.normal(0, 0.03, 4), rng.random()
    pixels, depth = camera.project(vertices)
    low = np.clip(pixels.min(axis=0), 0, np.array(camera.size) - 1)
    high = np.clip(pixels.max(axis=0), 0, np.array(camera.size) - 1)
    extent = high - low
    if depth.min() < 0.2 or extent.min() < 3 or visible < 12:
        return None
    share = visible / extent.prod()  # a person fills about a third of the own box
    score = float(np.clip(2.4 * share + 0.12 * rng.normal(), 0.05, 0.999))
    if luck > 0.55 + 0.5 * score:
        return None
    low, high = low + error[:2] * extent, high + error[2:] * extent
    bbox = [round(float(v), 3) for v in (*low, *(high - low))]
    return {'bbox': bbox, 'category_id': 1, 'image_id': image_id, 'score': round(score, 4)}
