"""Find the poses of everybody in a video, with track ids; draw them and write them as json.

Example:
    python tools/infer_video.py match.mp4 configs/star_pose_64x48_posetrack.py weights.pth \
        --boxes people.json --out-video drawn.mp4 --out-json poses.json
"""

import argparse
import contextlib
import os.path as osp

import prelude  # noqa: F401  (before the package: it decides whose code runs)

import mmengine
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.utils import track_iter_progress
from mmpose.registry import VISUALIZERS

from star_pose.apis.box_sources import DetectorBoxes, FileBoxes, FixedBoxes, WholeFrameBoxes
from star_pose.apis.pose_file import PoseDocument
from star_pose.apis.video_inferencer import VideoInferencer, list_frames
from star_pose.apis.video_writer import VideoWriter, video_rate
from star_pose.checkpoint import read_checkpoint
from star_pose.datasets.frames.clip_reader import VIDEO_SUFFIXES, split_ref
from star_pose.engine import command_line
from star_pose.engine.config_options import read_config
from star_pose.tracking import PoseTracker

DEFAULT_RATE = 25  # frames a second of a folder of images


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('video', help='video file, folder of images, or one image')
    parser.add_argument('config', help='config of the pose model')
    parser.add_argument('checkpoint', help='weights of the pose model')
    parser.add_argument('--out-video', help='write the drawn video to this file (.mp4)')
    parser.add_argument('--out-json', help='write the poses to this file, in COCO form')
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--boxes', metavar='JSON', help='boxes: COCO-form labels or detections')
    source.add_argument(
        '--box',
        nargs=4,
        type=float,
        action='append',
        metavar=('X1', 'Y1', 'X2', 'Y2'),
        help='a box that holds in every frame; may be given several times',
    )
    source.add_argument('--det-config', help='config of an MMDetection detector')
    parser.add_argument('--det-checkpoint', help='weights of the detector')
    parser.add_argument('--box-thr', type=float, default=0.3, help='lowest box score (0.3)')
    parser.add_argument('--kpt-thr', type=float, default=0.3, help='lowest drawn joint score (0.3)')
    parser.add_argument('--no-tracking', action='store_true', help='give no track ids')
    parser.add_argument('--frames', type=int, help='stop after this many frames')
    parser.add_argument('--rate', type=float, help="frames a second (default: the video's own)")
    parser.add_argument('--device', default=None, help='such as cpu or cuda:0 (default: the best)')
    parser.add_argument('--batch-size', type=int, default=32, help='people in a batch (32)')
    parser.add_argument(
        '--tracker',
        nargs='+',
        action=DictAction,
        default={},
        help='parameters of the tracker, e.g. max_lost=20',
    )
    command_line.add_config_options(parser)
    args = parser.parse_args(argv)
    try:
        PoseTracker(**args.tracker)
    except (TypeError, ValueError) as error:
        parser.error(f'--tracker: {error}')
    if not args.out_video and not args.out_json:
        parser.error('nothing would be written: give --out-video, --out-json or both')
    if args.frames is not None and args.frames < 1:
        parser.error(f'--frames must be at least 1, got {args.frames}')
    if args.out_video and osp.splitext(args.out_video)[1].lower() not in VIDEO_SUFFIXES:
        parser.error(f'--out-video {args.out_video} must end in one of {" ".join(VIDEO_SUFFIXES)}')
    for box in args.box or []:
        if box[2] <= box[0] or box[3] <= box[1]:
            parser.error(f'--box {box} is empty: give X1 Y1 X2 Y2 with X2 > X1 and Y2 > Y1')
    return args


def choose_boxes(
    args: argparse.Namespace, frames: list[str], device: str
) -> FileBoxes | FixedBoxes | DetectorBoxes | WholeFrameBoxes:
    """The box source that the arguments name; the whole frame where they name none."""
    if args.boxes:
        return FileBoxes(args.boxes, frames, args.box_thr)
    if args.box:
        return FixedBoxes(args.box)
    if args.det_config:
        return DetectorBoxes(args.det_config, args.det_checkpoint, device, score_thr=args.box_thr)
    return WholeFrameBoxes()


def describe_pipeline(cfg: Config) -> dict:
    """What decides accuracy beside the weights: T, crop and degradation, from the test pipeline."""
    steps = {step['type']: step for step in cfg.test_dataloader.dataset.pipeline}
    lr_clip = steps.get('GenerateLRClip', {})
    return {
        'num_frames': steps.get('SampleClipFrames', {}).get('num_frames', 1),
        'crop_size': next(
            (list(s['input_size']) for s in steps.values() if 'input_size' in s), None
        ),
        'scale': lr_clip.get('scale'),
        'downsample': lr_clip.get('downsample', 'bicubic') if lr_clip else None,
    }


def infer(args: argparse.Namespace) -> PoseDocument:
    """Find the poses of all frames, and draw them as they come."""
    frames = list_frames(args.video)
    path, position = split_ref(frames[0])
    rate = args.rate or (video_rate(path) if position is not None else None) or DEFAULT_RATE
    device = args.device or get_device()
    boxes = choose_boxes(args, frames, device)
    read_checkpoint(args.checkpoint)
    cfg = read_config(args.config, args.cfg_options)
    tracker = None if args.no_tracking else dict(type='PoseTracker', **args.tracker)
    inferencer = VideoInferencer(cfg, args.checkpoint, device, tracker, args.batch_size)
    visualizer = VISUALIZERS.build(dict(type='ClipVisualizer', name='infer_video'))
    visualizer.set_dataset_meta(inferencer.dataset_meta)
    info = {
        'config': args.config,
        'boxes': str(boxes),
        'tracker': tracker,
        'rate': float(rate),
        **describe_pipeline(cfg),
    }
    document = PoseDocument(inferencer.dataset_meta, info, osp.basename(osp.normpath(args.video)))
    number = len(frames[: args.frames])
    writer = VideoWriter(args.out_video, rate) if args.out_video else None
    with writer or contextlib.nullcontext():
        for result in track_iter_progress((inferencer(frames, boxes, number), number)):
            document.add(result)
            if writer is not None:
                image = result.image[..., ::-1].copy()  # BGR to RGB
                writer.write(visualizer.draw_tracks(image, result.instances, args.kpt_thr))
    return document


def main(argv: list[str] | None = None) -> None:
    """Infer, write and say what was found."""
    args = parse_args(argv)
    for path in filter(None, (args.out_video, args.out_json)):
        mmengine.mkdir_or_exist(osp.dirname(osp.abspath(path)))
    with command_line.readable_errors():
        document = infer(args)
    if args.out_json:
        mmengine.dump(document.as_dict(), args.out_json)
    ids = {entry['track_id'] for entry in document.annotations if 'track_id' in entry}
    print(
        f'\n{len(document.images)} frames, {len(document.annotations)} poses, {len(ids)} tracks; '
        f'boxes: {document.info["boxes"]}'
    )


if __name__ == '__main__':
    main()
