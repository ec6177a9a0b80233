"""Turn ESRGAN's npm package into weights: ``python tools/convert_esrgan.py PACKAGE_FOLDER``."""

import argparse
import pathlib

import prelude  # noqa: F401  (before the package: it decides whose code runs)

import torch

from star_pose.apis.esrgan_converter import LAYOUT, PACKAGES, convert_esrgan
from star_pose.engine import command_line


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(
        description='ESRGAN x4, trained on DIV2K, of an npm package of UpscalerJS (MIT), as '
        'weights of configs/cascades/esrgan-pretrained_movenet-lightning_64x48_coco.py.',
        epilog=f'Get it with: npm pack {PACKAGES[0]}, or {PACKAGES[1]}, which is smaller; unpack. '
        f'Expected:{LAYOUT}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('package', metavar='PACKAGE_FOLDER', help='the unpacked package')
    parser.add_argument('--out', default='esrgan.pth', help='file to write (%(default)s)')
    args = parser.parse_args()
    with command_line.readable_errors():
        checkpoint = convert_esrgan(args.package)
        path = pathlib.Path(args.out)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, path)
        print(f'{path}: {path.stat().st_size / 1e6:.1f} MB, {checkpoint["meta"]["sr"]}')


if __name__ == '__main__':
    main()
