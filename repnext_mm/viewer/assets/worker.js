// The network in a thread of its own: the page stays responsive while it computes.

import * as ort from './onnxruntime/ort.wasm.min.mjs';
import { readImage } from './reading.js';

const MOST_THREADS = 8;

/** Several threads need a page that is isolated (COOP and COEP); others compute with one. */
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
ort.env.wasm.wasmPaths = new URL('./onnxruntime/', import.meta.url).href;
ort.env.logLevel = 'error';

let opened = null;

async function open(description) {
  const content = await fetch(new URL(description.file, import.meta.url));
  if (!content.ok) throw new Error(`${description.file} could not be read: ${content.status} ${content.statusText}`);
  const session = await ort.InferenceSession.create(new Uint8Array(await content.arrayBuffer()), {
    executionProviders: ['wasm'],
  });
  const run = async ({ data, width, height }) => {
    const images = new ort.Tensor('uint8', data, [1, height, width, 3]);
    return session.run({ [session.inputNames[0]]: images });
  };
  opened = { run, spec: description.spec };
}

/** The pixels of a picture as they stand in the file, turned as its EXIF data say. */
async function decode(blob) {
  const bitmap = await createImageBitmap(blob, {
    imageOrientation: 'from-image',
    premultiplyAlpha: 'none',
    colorSpaceConversion: 'none',
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const pixels = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * 3);
  for (let source = 0, target = 0; source < pixels.length; source += 4) {
    data[target++] = pixels[source];
    data[target++] = pixels[source + 1];
    data[target++] = pixels[source + 2];
  }
  return { data, width, height };
}

async function predict(blob) {
  let image;
  try {
    image = await decode(blob);
  } catch {
    throw new Error('this is no picture that the browser can read: JPEG, PNG and WebP are');
  }
  const start = performance.now();
  const found = await readImage(opened.run, opened.spec, image);
  return { ...found, seconds: (performance.now() - start) / 1000 };
}

const JOBS = { open, predict };

self.addEventListener('message', async ({ data: { number, job, argument } }) => {
  try {
    self.postMessage({ number, answer: await JOBS[job](argument) });
  } catch (error) {
    self.postMessage({ number, error: error?.message ?? String(error) });
  }
});
