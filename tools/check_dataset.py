"""Check all data that a config points to, and print one table.

Reads labels and frames of the train, val and test data sets: counts, missing and unreadable files,
frames out of range, boxes outside images, persons without joints, duplicate ids, and test data in
the training data. The exit code is 1 where there are errors; notes do not count.
"""

import argparse
import sys

import prelude  # noqa: F401  (before the package: it decides whose code runs)

from rich.console import Console
from rich.progress import track

from star_pose.datasets.checks.check_config import check_config
from star_pose.datasets.checks.report import print_reports
from star_pose.engine import command_line
from star_pose.engine.command_line import at_least
from star_pose.engine.config_options import read_config

NEAREST = """\
--fix-missing nearest judges the data as with missing_frames='nearest' in the data set's config:
a missing frame beside a labelled one is then replaced by the nearest existing frame of its video,
so that the clip stands still there. That suits trying things out with samples that come without
their neighbours; a model trained on it learns that nothing moves. A labelled frame that is missing
is never replaced. Nothing is written: to train so, put missing_frames='nearest' into the config, or
--cfg-options train_dataloader.dataset.missing_frames=nearest on the command line."""


def main() -> int:
    """Parse the arguments, check, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=NEAREST, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument(
        '--read',
        choices=['all', 'labelled', 'none'],
        default='all',
        help='frames to decode: all of the videos, only labelled ones, or none (default: all)',
    )
    parser.add_argument('--fix-missing', choices=['nearest'], help='see below')
    parser.add_argument(
        '--workers', type=at_least(1), default=2, help='decoding threads (default: 2)'
    )
    command_line.add_config_options(parser)
    args = parser.parse_args()

    cfg = read_config(args.config, args.cfg_options)
    console = Console(width=None if sys.stdout.isatty() else 140)
    with command_line.building(args.config):
        reports = check_config(
            cfg,
            args.read,
            args.fix_missing,
            args.workers,
            lambda frames, text: track(frames, text, console=Console(stderr=True), transient=True),
        )
    print_reports(reports, console)
    num_errors = sum(report.num_errors for report in reports)
    if any('missing neighbour frames' in report.findings for report in reports):
        console.print(NEAREST, highlight=False)
    console.print(f'{num_errors} errors', style='red' if num_errors else 'green')
    return int(num_errors > 0)


if __name__ == '__main__':
    with command_line.readable_errors():
        sys.exit(main())
