"""Poses of everybody in videos, with track ids: found, followed, drawn and written.

    python tools/infer_video.py match.mp4
    python tools/infer_video.py match.mp4 --model movenet-lightning --format coco csv
    python tools/infer_video.py match.mp4 CONFIG CHECKPOINT --boxes people.json

A source is a video, a folder of images, an image, a pattern such as 'walk/*.jpg', a camera's
number, a URL or - for standard input; several are shared between the processes of torchrun or
Slurm. The results lie beside it: match.poses.json and match.poses.mp4.

Exit codes: 0 all is well; 1 something is wrong, and said; 2 the command line is; 3 frames that
could not be read were skipped; 130 interrupted. What was found until then is kept in every case.
"""

import argparse
import os
import os.path as osp
import sys
import time

import prelude  # noqa: F401  (before the package: it decides whose code runs)

from mmengine.device import get_device
from tqdm import tqdm

from star_pose.apis.box_sources import DetectorBoxes, EveryNth, FileBoxes, FixedBoxes
from star_pose.apis.frame_sources import FrameSource, open_source
from star_pose.apis.person_detector import PersonDetector
from star_pose.apis.pose_records import FORMATS
from star_pose.apis.runtimes import BACKENDS
from star_pose.apis.shipped_models import BY_SIZE, SMALL_BELOW, shipped_models
from star_pose.apis.video_outputs import OutputPlan, VideoOutputs
from star_pose.apis.video_pose import VideoPose
from star_pose.checkpoint import CheckpointError
from star_pose.datasets.errors import DataError, LabelError
from star_pose.engine import command_line
from star_pose.engine.config_options import ConfigError, read_config
from star_pose.tracking import PoseTracker


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'sources', nargs='+', metavar='SOURCE',
        help='what to look at; a config (.py) and its checkpoint may follow',
    )  # fmt: skip
    parser.add_argument(
        '--model',
        help=f'shipped model: {", ".join(shipped_models())} (auto: {BY_SIZE[0]} for '
        f'people below {SMALL_BELOW} pixels, {BY_SIZE[1]} for others)',
    )
    boxes = parser.add_argument_group('where people are').add_mutually_exclusive_group()
    boxes.add_argument('--boxes', metavar='JSON', help='boxes: COCO-form labels or detections')
    boxes.add_argument(
        '--box', nargs=4, type=float, action='append', metavar=('X1', 'Y1', 'X2', 'Y2'),
        help='a box that holds in every frame; may be given several times',
    )  # fmt: skip
    boxes.add_argument('--whole-frame', action='store_true', help='one person, who fills the frame')
    boxes.add_argument('--det-config', help='config of an MMDetection detector')
    parser.add_argument('--det-checkpoint', help='weights of that detector')
    parser.add_argument('--det-every', type=int, default=5, help='detect every n-th frame (5)')
    parser.add_argument(
        '--tiles', type=int, metavar='N',
        help='detail of the built-in detector: of N x N tiles (one for every 1000 pixels)',
    )  # fmt: skip
    parser.add_argument('--box-thr', type=float, help='lowest box score (detector 0.5, file 0.3)')
    out = parser.add_argument_group('results')
    out.add_argument('--out-json', metavar='FILE', help='poses in COCO form go here')
    out.add_argument('--out-video', metavar='FILE', help='the drawn video goes here (.mp4, .mkv)')
    out.add_argument('--format', nargs='+', choices=FORMATS, help='of the poses (coco)')
    out.add_argument('--no-video', action='store_true', help='draw nothing')
    out.add_argument('--overwrite', action='store_true', help='replace results that exist')
    out.add_argument('--resume', action='store_true', help='go on where a run was interrupted')
    out.add_argument('--kpt-thr', type=float, default=0.2, help='hide joints below this share of '
                     "the person's highest score (0.2)")  # fmt: skip
    out.add_argument('--profile', action='store_true', help='print the time by stage')
    how = parser.add_argument_group('how')
    how.add_argument('--live', action='store_true', help='newest frame first, drop what is late')
    how.add_argument('--evidence', type=int, default=2, help='neighbouring frames that count (2)')
    how.add_argument('--no-smoothing', action='store_true', help='leave the jitter in')
    how.add_argument('--no-tracking', action='store_true', help='no ids, evidence, smoothing')
    how.add_argument('--tracker', nargs='+', action=command_line.NamedValues, default={},
                     help='parameters of the tracker, e.g. max_lost=20')  # fmt: skip
    how.add_argument('--flip-test', action='store_true', help='add mirrored crops: twice the time')
    how.add_argument('--frames', type=int, help='stop after this many frames')
    how.add_argument('--rate', type=float, help='frames a second of images (25)')
    how.add_argument('--device', help='such as cpu or cuda:0 (the best there is)')
    how.add_argument('--backend', choices=BACKENDS, default='auto', help='runtime (the fastest)')
    how.add_argument('--network', metavar='ONNX', help='what tools/export.py wrote of the model')
    how.add_argument('--batch-size', type=int, default=32, help='people in a batch (32)')
    command_line.add_config_options(parser)
    return parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line and refuse what contradicts itself."""
    parser = build_parser()
    args = parser.parse_args(argv)
    configs = [n for n, source in enumerate(args.sources) if source.endswith('.py')]
    args.config = args.checkpoint = None
    if configs:
        args.config, *rest = args.sources[configs[0] :]
        args.sources = args.sources[: configs[0]]
        if len(rest) != 1 or not args.sources:
            parser.error('a config stands between the sources and one checkpoint')
        (args.checkpoint,) = rest
        if args.model:
            parser.error('give --model or a config and a checkpoint, not both')
    elif args.cfg_options:
        parser.error('--cfg-options needs a config')
    try:
        PoseTracker(**args.tracker)
    except (TypeError, ValueError) as error:
        given = ' '.join(f'{key}={value}' for key, value in args.tracker.items())
        parser.error(f'--tracker {given}: {error}')
    for name in ('frames', 'det_every', 'tiles', 'batch_size'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, got {value}')
    if args.tiles is not None and args.tiles > 8:
        parser.error(f'--tiles must not be above 8, got {args.tiles}: that is 64 times the work')
    if args.evidence < 0:
        parser.error(f'--evidence must not be negative, got {args.evidence}')
    if args.rate is not None and not 0 < args.rate <= 1000:
        parser.error(f'--rate must lie between 0 and 1000, got {args.rate}')
    if not 0 <= args.kpt_thr <= 1:
        parser.error(f'--kpt-thr must lie between 0 and 1, got {args.kpt_thr}')
    if args.box_thr is not None and not 0 < args.box_thr < 1:
        parser.error(f'--box-thr must lie between 0 and 1, got {args.box_thr}')
    args.by_size = not configs and args.model in (None, 'auto')
    if args.network and args.by_size:
        parser.error('--network is of one model: name it by --model, or give config and checkpoint')
    if args.det_checkpoint and not args.det_config:
        parser.error('--det-checkpoint needs --det-config')
    if len(args.sources) > 1 and (args.out_json or args.out_video or args.boxes):
        parser.error('--out-json, --out-video and --boxes are for one source')
    if args.no_video and args.out_video:
        parser.error('--out-video and --no-video contradict each other')
    return args


def choose_boxes(args: argparse.Namespace, source: FrameSource, device: str) -> object:
    """The box source that the arguments name; the built-in detector where they name none."""
    if args.boxes:
        names = source.names()
        if names is None:
            raise LabelError(f'{source.name} is a stream: --boxes needs frames that are known')
        return FileBoxes(args.boxes, names, 0.3 if args.box_thr is None else args.box_thr)
    if args.box:
        return FixedBoxes(args.box)
    if args.whole_frame:
        return 'frame'
    score_thr = 0.5 if args.box_thr is None else args.box_thr
    if args.det_config:
        detector = DetectorBoxes(args.det_config, args.det_checkpoint, device, score_thr=score_thr)
    else:
        detector = PersonDetector(args.tiles, score_thr)
    return EveryNth(detector, args.det_every)


def load_model(args: argparse.Namespace, device: str) -> VideoPose:
    """The pose model, with all options."""
    named = args.config is None
    return VideoPose(
        args.model or 'auto' if named else read_config(args.config, args.cfg_options),
        args.checkpoint,
        device,
        args.backend,
        evidence=args.evidence,
        smoothing=not args.no_smoothing,
        tracker=None if args.no_tracking else args.tracker,
        live=args.live,
        flip_test=args.flip_test,
        batch_size=args.batch_size,
        network=args.network,
    )


def main(argv: list[str] | None = None) -> None:
    """Work through the sources of this process."""
    args = parse_args(argv)
    rank, world = process_place()
    codes = []
    try:
        device = args.device or get_device()
        jobs = [prepare(args, name, device) for name in args.sources[rank::world]]
        poser = load_model(args, device) if jobs else None
    except (CheckpointError, ConfigError, DataError) as error:
        sys.exit(report(error))
    for job in jobs:
        try:
            codes.append(infer(args, poser, *job))
        except (CheckpointError, ConfigError, DataError, OSError) as error:
            codes.append(report(error))
        except KeyboardInterrupt:
            print('\ninterrupted', file=sys.stderr)
            codes.append(130 if job[0].paths else 0)  # nothing else ends a camera
            break
    sys.exit(max(codes, key=lambda code: (code == 1, code), default=0) or None)


def process_place() -> tuple[int, int]:
    """Rank and number of the processes that torchrun or Slurm started."""
    for rank, world in (('RANK', 'WORLD_SIZE'), ('SLURM_PROCID', 'SLURM_NTASKS')):
        if rank in os.environ and world in os.environ:
            return int(os.environ[rank]), int(os.environ[world])
    return 0, 1


def report(error: Exception) -> int:
    """Say what is wrong; the exit code."""
    print(f'\n{error}', file=sys.stderr, flush=True)
    return 1


def prepare(args: argparse.Namespace, name: str, device: str) -> tuple:
    """Open a source and its boxes, and try the outputs, before a model is loaded."""
    source = open_source(name, args.rate)
    plan = OutputPlan(
        source, args.format, args.out_json, args.out_video, False if args.no_video else None
    )
    inputs = [
        *source.paths,
        *filter(None, (args.boxes, args.config, args.checkpoint, args.network)),
    ]
    plan.check(inputs, source.rate, args.overwrite, args.resume)
    return source, plan, choose_boxes(args, source, device)


def infer(args: argparse.Namespace, poser: VideoPose, source: FrameSource, plan: OutputPlan,
          boxes: object) -> int:  # fmt: skip
    """Find the poses of a source and write them as they come; the exit code."""
    meta = poser.dataset_meta
    names = [meta['keypoint_id2name'][joint] for joint in range(len(meta['keypoint_id2name']))]
    info = {
        'model': poser.model.config,
        'backend': poser.model.backend,
        'boxes': 'whole frame' if boxes == 'frame' else str(boxes),
        'tracker': None if args.no_tracking else {'type': 'PoseTracker', **args.tracker},
        'evidence': poser.evidence,
        'smoothing': poser.smoothing,
        'rate': source.rate,
        'num_frames': poser.model.num_frames,
    }
    links = [[int(a), int(b)] for a, b in meta.get('skeleton_links', [])]
    header = {'video': source.name, 'joints': names, 'skeleton': links, 'info': info}
    outputs = VideoOutputs(plan, header, meta, source.rate, args.kpt_thr)
    done = (
        args.resume and not osp.exists(plan.journal) and all(map(osp.exists, plan.files.values()))
    )
    if done and plan.files:
        print(f'{source.name}: done already')
        return 0
    begin = time.perf_counter()
    with outputs:
        start = outputs.resume(source) if args.resume else 0
        bar = tqdm(total=args.frames or source.count, initial=start, unit='frame', disable=None)
        with bar:
            for frame in poser(source, boxes, start, args.frames):
                added = time.perf_counter()
                outputs.add(frame)
                bar.update()
                poser.run.seconds['write'] += time.perf_counter() - added
        if not outputs.frames:
            raise LabelError(f'{source.name}: no frame could be read' + first_fault(source))
        outputs.complete = True
    seconds = time.perf_counter() - begin
    return summarise(args, poser, source, outputs, info['boxes'], seconds)


def first_fault(source: FrameSource) -> str:
    """What was wrong with the first frame that could not be read."""
    return f' ({source.bad[0][1]})' if source.bad else ''


def summarise(args: argparse.Namespace, poser: VideoPose, source: FrameSource,
              outputs: VideoOutputs, boxes: str, seconds: float) -> int:  # fmt: skip
    """Say what was found, and what was not; the exit code."""
    run = poser.run
    print(
        f'\n{source.name}: {outputs.frames} frames, {outputs.poses} poses, '
        f'{len(outputs.tracks)} tracks; boxes: {boxes}'
    )
    if args.by_size:
        small, large = BY_SIZE
        print(
            f'poses by {large}; of people below {SMALL_BELOW} pixels by {small}, whose weights are '
            f'for research only (--model {large} for all)'
        )
    for count, what in ((run.outside, 'boxes outside their frame left out'),
                        (run.dropped, 'frames came too fast and were dropped')):  # fmt: skip
        if count:
            print(f'{count} {what}')
    if args.profile:
        print(f'{seconds:.2f} s, {outputs.frames / seconds:.1f} frames/s, '
              f'{outputs.poses / seconds:.1f} people/s')  # fmt: skip
        rest = seconds - sum(run.seconds.values())
        for stage, spent in [*run.seconds.most_common(), ('the rest', rest)]:
            print(f'  {stage:10} {spent:8.2f} s {100 * spent / seconds:5.1f} %')
        print(f'at the same time, in a thread: drawing {outputs.drawing.seconds:.2f} s')
    if source.bad:
        behind = (
            f'; the numbers of {outputs.uncertain} frames behind are a guess, marked in the json'
        )
        print(
            f'{len(source.bad)} frames could not be read{first_fault(source)}'
            + behind * bool(outputs.uncertain),
            file=sys.stderr,
        )
        return 3
    return 0


if __name__ == '__main__':
    main()
