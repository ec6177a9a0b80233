"""Write a model as ONNX: its network, for any number of people, without MMPose or PyTorch.

    python tools/export.py CONFIG CHECKPOINT --clips match.mp4 --out model.onnx
    python tools/export.py movenet-lightning --clips match.mp4 --int8 --out lightning.onnx
    python tools/infer_video.py other.mp4 --model movenet-lightning --network lightning.onnx

The file takes uint8 crops, BGR, `pixels` (N, T, 3, h, w) or (N, 3, h, w), and gives what the head's
decoder reads, one set of heatmaps a person. It is checked on people of the given videos: the maxima
must be where PyTorch has them. With --int8 the convolutions compute in 8-bit integers, within the
ranges that they have on those people: give clips that look like what will be seen.

Exit codes: 0 it is written; 1 something is wrong, or the outputs differ; 2 the command line is.
"""

import argparse
import os

import prelude  # noqa: F401  (before the package: it decides whose code runs)

import numpy as np

from star_pose import __version__
from star_pose.apis.box_sources import WholeFrameBoxes
from star_pose.apis.export import compare, cut_clips, label_model, quantise
from star_pose.apis.person_detector import PersonDetector
from star_pose.apis.pose_model import PoseModel
from star_pose.apis.runtimes import export_onnx, fingerprint, load_onnx
from star_pose.apis.shipped_models import find_model
from star_pose.datasets.errors import LabelError
from star_pose.engine import command_line
from star_pose.engine.config_options import read_config
from star_pose.engine.outputs import check_output, whole_file

BATCH = 16


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='a config, or the name of a shipped model')
    parser.add_argument('checkpoint', nargs='?', help='weights; shipped models have theirs')
    parser.add_argument(
        '--clips', nargs='+', required=True, metavar='SOURCE',
        help='videos, images or folders with people, as of tools/infer_video.py',
    )  # fmt: skip
    parser.add_argument('--out', required=True, metavar='FILE', help='file to write (.onnx)')
    parser.add_argument('--int8', action='store_true', help='convolutions in 8-bit integers')
    parser.add_argument('--num', type=int, default=64, help='people to look at (64)')
    parser.add_argument('--whole-frame', action='store_true', help='one person, who fills a frame')
    parser.add_argument('--overwrite', action='store_true', help='replace a file that exists')
    command_line.add_config_options(parser)
    args = parser.parse_args(argv)
    if args.num < 1:
        parser.error(f'--num must be at least 1, got {args.num}')
    if not args.out.endswith('.onnx'):
        parser.error(f'--out must end in .onnx, got {args.out}')
    return args


def main(argv: list[str] | None = None) -> None:
    """Export, check, write."""
    args = parse_args(argv)
    with command_line.readable_errors():
        config, checkpoint = args.config, args.checkpoint
        check_output(args.out, [*args.clips, config, *([checkpoint] if checkpoint else [])])
        if os.path.exists(args.out) and not args.overwrite:
            raise LabelError(f'{args.out} exists; --overwrite replaces it')
        if checkpoint is None:
            config, checkpoint = find_model(config)
            if checkpoint is None:
                raise LabelError(f'{config}: give its checkpoint too')
        model = PoseModel(read_config(config, args.cfg_options), checkpoint, 'cpu', 'torch')
        boxes = WholeFrameBoxes() if args.whole_frame else PersonDetector()
        clips = cut_clips(model, args.clips, boxes, args.num)
        write(args, model, clips)


def write(args: argparse.Namespace, model: PoseModel, clips: np.ndarray) -> None:
    """Make the file of a model and of people to check it on."""
    exported = export_onnx(model.network, clips)
    expected = outputs(model.run, clips)
    agreement = compare(expected, outputs(load_onnx(exported), clips))
    print(
        f'float32, {len(clips)} people: {100 * agreement.equal:.2f} % of the maxima where PyTorch '
        f'has them, largest difference {agreement.error:.1e} of the largest value'
    )
    if not agreement.is_exact:
        raise LabelError('the exported network does not do what PyTorch does; nothing is written')
    if args.int8:
        exported = quantise(exported, clips)
        found = outputs(load_onnx(exported), clips)
        print(f'int8: {moved(model, expected, found)}')
    labels = {
        'config': model.config,
        'weights': fingerprint(model.network),
        'star_pose': __version__,
    }
    exported = label_model(exported, labels)
    with whole_file(args.out, 'wb') as file:
        file.write(exported)
    shape = 'x'.join(map(str, clips.shape[1:]))
    print(f'{args.out}: {len(exported) / 1e6:.1f} MB, pixels Nx{shape}')


def outputs(run, clips: np.ndarray) -> tuple[np.ndarray, ...]:
    """What a runtime gives for all clips."""
    batches = [run(clips[n : n + BATCH]) for n in range(0, len(clips), BATCH)]
    return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))


def moved(model: PoseModel, expected: tuple, found: tuple) -> str:
    """How far the keypoints of one set of outputs are from another's."""
    # The crop is its own frame
    size = np.tile(model.input_size, (len(expected[0]), 1))
    wanted, given = (model.decode(each, size / 2, size)[0] for each in (expected, found))
    distance = np.linalg.norm(given - wanted, axis=-1) / model.input_size.max()
    half, most = np.quantile(distance, (0.5, 0.95))
    return (
        f'keypoints moved by {100 * half:.1f} % of the height of the crop (median), '
        f'{100 * most:.1f} % (95 of 100)'
    )


if __name__ == '__main__':
    main()
