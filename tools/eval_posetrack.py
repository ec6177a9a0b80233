"""Evaluate PoseTrack predictions that any tool has written, or check a submission.

    python tools/eval_posetrack.py GT_DIR PRED_DIR --tracking --out result.json

Prints AP (and MOTA) by the columns of the field's tables, a LaTeX row, and what was evaluated.
"""

import argparse
import pathlib
import sys

import prelude  # noqa: F401  (before the package: it decides whose code runs)

from star_pose.engine.outputs import check_output, check_output_folder
from star_pose.posetrack import evaluate as tables
from star_pose.posetrack.read_labels import read_ground_truth
from star_pose.posetrack.read_predictions import read_predictions
from star_pose.posetrack.report_pictures import plot_curves, save_worst
from star_pose.posetrack.write_submission import validate_submission


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='PoseTrack AP and MOTA as poseval computes them, of json files.'
    )
    parser.add_argument('gt', help='ground truth: folder of a json file a video, or a merged file')
    parser.add_argument(
        'pred', help='predictions: such a folder, a merged file or a list of COCO results'
    )
    parser.add_argument('--tracking', action='store_true', help='also MOTA; needs track ids')
    parser.add_argument('--per-video', action='store_true', help='also a table by video')
    parser.add_argument('--per-joint', action='store_true', help='also a table by joint')
    parser.add_argument('--out', metavar='FILE.json', help='write all numbers to this file')
    parser.add_argument('--show-worst', type=int, metavar='K', help='list and draw K worst persons')
    parser.add_argument(
        '--worst-dir', default='worst_cases', help='folder for their pictures (worst_cases)'
    )
    parser.add_argument('--images', help='folder that file_name in the annotations starts in')
    parser.add_argument('--pr-curves', metavar='DIR', help='write precision-recall curves as PNG')
    parser.add_argument('--rules', default='posetrack18', choices=('posetrack18', 'posetrack21'))
    parser.add_argument(
        '--order',
        default='folder',
        choices=('folder', 'name'),
        help='order of the videos, by which equal scores rank: as the folder lists them (like '
        'poseval), or by name (the same everywhere)',
    )
    parser.add_argument(
        '--allow-missing-scores', action='store_true', help='joints without a score rank last'
    )
    parser.add_argument(
        '--validate',
        action='store_true',
        help='only check that the servers and poseval can read the predictions',
    )
    parser.add_argument('--name', default='STAR-Pose', help='name of the method in the LaTeX row')
    for name in ('box-source', 'score-rule', 'num-frames', 'lr-size', 'degradation'):
        parser.add_argument(f'--{name}', help=f'{name.replace("-", " ")}, printed and stored')
    return parser.parse_args()


def report(args: argparse.Namespace) -> None:
    """Evaluate and print what was asked for.

    Raises:
        PoseTrackError: With every fault of the files.
        FileNotFoundError: When a folder or file is missing.
    """
    frames, truth = read_ground_truth(args.gt, args.order)
    predicted = read_predictions(
        args.pred, frames, tracking=args.tracking, allow_missing_scores=args.allow_missing_scores
    )
    facts = ('box_source', 'score_rule', 'num_frames', 'lr_size', 'degradation')
    result = tables.evaluate(
        frames,
        truth,
        predicted,
        rules=args.rules,
        tracked=predicted if args.tracking else None,
        per_video=args.per_video,
        provenance={fact: value for fact in facts if (value := getattr(args, fact)) is not None},
    )
    print(tables.summary_table(result))
    print(tables.latex_row(result, args.name))
    if args.per_joint:
        print(tables.joint_table(result))
    if args.per_video:
        print(tables.video_table(result))
    print(tables.describe(result.counts, result.provenance))
    if args.show_worst:
        print('\n'.join(save_worst(result, args.show_worst, args.worst_dir, args.images)))
    if args.pr_curves:
        plot_curves(result, args.pr_curves)
    if args.out:
        result.write(args.out)


def validate(args: argparse.Namespace) -> int:
    """Print what is wrong with a submission; return how many faults there are."""
    frames, _ = read_ground_truth(args.gt)
    problems = validate_submission(args.pred, frames, tracking=args.tracking)
    print('\n'.join(str(problem) for problem in problems) or 'valid submission')
    return len(problems)


def main() -> int:
    """Run; return the exit status: 0, or 1 when something is wrong with the files."""
    args = parse_args()
    try:
        if args.validate:
            return 1 if validate(args) else 0
        if args.out:
            folders = map(pathlib.Path, (args.gt, args.pred))
            check_output(args.out, (args.gt, args.pred, *(f for d in folders for f in d.glob('*'))))
        for folder in (args.pr_curves, args.worst_dir if args.show_worst else None):
            if folder:
                check_output_folder(folder)
        report(args)
    except (ValueError, OSError) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
