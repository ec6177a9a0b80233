"""Turn LSP-Extended into COCO form: ``python tools/convert_lspe.py hr-lspet.zip --out DIR``."""

import argparse

import prelude  # noqa: F401  (before the package: it decides whose code runs)

from star_pose.datasets.converters import LSPE_LAYOUT, convert_lspe
from star_pose.engine import command_line


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(
        description='LSP-Extended to COCO form with PoseTrack18 joints: lspe_train.json, '
        'lspe_val.json and images/.',
        epilog=f'Expected:{LSPE_LAYOUT}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('source', help='folder or zip file of the original release')
    parser.add_argument('--out', required=True, help='folder to write to')
    parser.add_argument(
        '--min-joints', type=int, default=6, help='leave out persons with fewer labelled joints (6)'
    )
    args = parser.parse_args()
    with command_line.readable_errors():
        counts = convert_lspe(args.source, args.out, args.min_joints)
    print(', '.join(f'{count} {name}' for name, count in counts.items()))


if __name__ == '__main__':
    main()
