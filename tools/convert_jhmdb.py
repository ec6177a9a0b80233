"""Turn JHMDB into COCO form: ``python tools/convert_jhmdb.py JHMDB --out DIR``."""

import argparse

import prelude  # noqa: F401  (before the package: it decides whose code runs)

from star_pose.datasets.converters import JHMDB_LAYOUT, convert_jhmdb
from star_pose.engine import command_line


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(
        description='JHMDB to annotations/Sub1_train.json ... Sub3_test.json, the form that '
        'MMPose and JhmdbClipDataset read.',
        epilog=f'Expected:{JHMDB_LAYOUT}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('source', help='folder of the unpacked release')
    parser.add_argument('--out', required=True, help='folder to write to')
    parser.add_argument(
        '--splits',
        default='sub_splits',
        help='folder with the split files (sub_splits; "splits" for all clips)',
    )
    args = parser.parse_args()
    with command_line.readable_errors():
        counts = convert_jhmdb(args.source, args.out, args.splits)
    print(', '.join(f'{name}: {count} clips' for name, count in counts.items()))


if __name__ == '__main__':
    main()
