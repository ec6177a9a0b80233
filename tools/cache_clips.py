"""Cut the persons out of a config's clips and keep them in one file, for a faster loader.

Reading a person's clip of 5 small images replaces decoding 5 full frames. Run it once a split, then
name the file in the pipeline: dict(type='LoadClip', cache=FILE). Labels and results stay in pixels
of the frame. The tool may be killed at any time and started again: it goes on where it was.
"""

import argparse
import sys

import prelude  # noqa: F401  (before the package: it decides whose code runs)

from rich.console import Console
from rich.progress import track

from star_pose.datasets.cache.clip_cache import ClipCache, ClipCacheWriter
from star_pose.datasets.cache.fill_clip_cache import (
    cache_meta,
    clip_sources,
    cutter_of,
    fill_cache,
)
from star_pose.engine import command_line
from star_pose.engine.command_line import at_least
from star_pose.engine.config_options import read_config
from star_pose.engine.outputs import check_output

CONSOLE = Console(stderr=True)


def main() -> int:
    """Parse the arguments, then fill or verify."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('--out', required=True, metavar='FILE', help='the cache, e.g. train.lmdb')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument(
        '--reach',
        type=float,
        help='keep a square of so many longer sides of the padded box (default: 1.4, which holds '
        '99 %% of what the default augmentation asks for; 1.1 where nothing is augmented)',
    )
    parser.add_argument('--quality', type=int, default=90, help='of the JPEG images (default 90)')
    parser.add_argument('--workers', type=at_least(0), default=2, help='processes (default 2)')
    parser.add_argument(
        '--verify', action='store_true', help='read every clip of --out; remove damaged ones'
    )
    command_line.add_config_options(parser)
    args = parser.parse_args()
    return verify(args) if args.verify else fill(args)


def fill(args: argparse.Namespace) -> int:
    """Write what the cache does not have; the exit code is 1 where samples cannot be read."""
    cfg = read_config(args.config, args.cfg_options)
    check_output(args.out, [args.config])
    with command_line.building(args.config):
        cutter = cutter_of(cfg, args.split, args.reach, quality=args.quality)
        sources = clip_sources(cfg, args.split, cutter)
        writer = ClipCacheWriter(args.out, cache_meta(sources))
    with writer:
        report = fill_cache(sources, writer, args.workers, progress)
    for fault in report.faults[:10]:
        print(f'not cached: {fault}')
    print(
        f'{args.out}: {report.present} clips were there, {report.written} written '
        f'({report.num_bytes / 2**20:.0f} MiB), {len(report.faults)} could not be read'
    )
    return 1 if report.faults else 0


def verify(args: argparse.Namespace) -> int:
    """Read every clip; the exit code is 1 where some were damaged."""
    cache = ClipCache(args.out)
    total = len(cache)
    checked = track(cache.verify(), 'verifying', total, console=CONSOLE, transient=True)
    faults = {key: fault for key, fault in checked if fault}
    cache.close()
    if faults:
        meta = {name: value for name, value in cache.meta.items() if name != 'format'}
        with ClipCacheWriter(args.out, meta) as writer:
            writer.remove(faults)
    for key, fault in list(faults.items())[:10]:
        print(f'{key.hex()}: {fault}')
    print(f'{args.out}: {total} clips, {len(faults)} damaged')
    if faults:
        print('The damaged clips were removed; run the tool without --verify to make them again.')
    return 1 if faults else 0


def progress(records, total):
    """Show a bar while clips are made."""
    return track(records, 'caching', total, console=CONSOLE, transient=True)


if __name__ == '__main__':
    with command_line.readable_errors():
        sys.exit(main())
