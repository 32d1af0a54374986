// What a network's outputs say of the picture, for each task. run(image) gives the outputs by name.

import { applyRules, cut, fitStatic } from './preparing.js';
import { pasteMask } from './masks.js';
import { roundHalfEven } from './resizing.js';

const READERS = { detection: detect, segmentation: segment, classification: classify };

/** Predicts what is in an image, as the readers of repnext_mm.runtime do. */
export async function readImage(run, spec, image) {
  const prepared = applyRules(image, spec.resize ?? []);
  const found = await READERS[spec.task](run, spec, prepared, image);
  return { width: image.width, height: image.height, ...found };
}

async function detect(run, spec, prepared, { width, height }) {
  const fitted = fitStatic(prepared.image, spec.input);
  const isPadded =
    fitted.image.width !== prepared.image.width || fitted.image.height !== prepared.image.height;
  const outputs = await run(fitted.image);
  const sides = [prepared.image.width, prepared.image.height];
  const { boxes, scores, labels, masks } = outputs;
  const side = masks ? masks.dims[2] : 0;
  const objects = [];
  for (let i = 0; i < scores.data.length; i++) {
    let box = divided(boxes.data.subarray(4 * i, 4 * i + 4), fitted.scale);
    if (isPadded) {
      box = box.map((value, k) => Math.min(Math.max(value, 0), sides[k % 2]));
      if (box[2] <= box[0] || box[3] <= box[1]) continue; // nothing is in what was added
    }
    box = divided(box, prepared.scale);
    const values = masks?.data.subarray(i * side * side, (i + 1) * side * side);
    objects.push({
      label: Number(labels.data[i]),
      score: scores.data[i],
      bbox: [box[0], box[1], box[2] - box[0], box[3] - box[1]],
      mask: masks ? pasteMask(values, side, box, width, height, spec.mask_threshold) : null,
    });
  }
  return { objects };
}

/** A box divided by the scales of width and height, in float32. */
function divided(box, scale) {
  return Array.from(box, (value, k) => Math.fround(value / Math.fround(scale[k % 2])));
}

async function classify(run, spec, prepared) {
  const { scores } = await run(fitStatic(prepared.image, spec.input).image);
  const values = Array.from(scores.data, (score, label) => ({ label, score }));
  return { scores: values.sort((a, b) => b.score - a.score) };
}

async function segment(run, spec, prepared, { width, height }) {
  const scores = spec.window
    ? await segmentInWindows(run, spec, prepared.image)
    : await segmentWhole(run, spec, prepared.image);
  return { labels: labelsOf(scores, width, height, spec) };
}

/** Logits, or labels, of an image that has the network's size: {data, planes, width, height}. */
async function segmentWhole(run, spec, image) {
  const fitted = fitStatic(image, spec.input);
  const [output] = Object.values(await run(fitted.image));
  const [planes, height, width] = spec.argmax ? output.dims : output.dims.slice(1);
  const scores = { data: spec.argmax ? Int32Array.from(output.data, Number) : output.data, planes, width, height };
  const kept = {
    width: roundHalfEven(image.width * fitted.scale[0]),
    height: roundHalfEven(image.height * fitted.scale[1]),
  };
  return resizeScores(cropScores(scores, kept), image.width, image.height, spec);
}

async function segmentInWindows(run, spec, image) {
  const { crop_size: crop, stride } = spec.window;
  const area = image.width * image.height;
  const count = new Float32Array(area);
  let total = null;
  for (const [top, bottom] of windowSpans(image.height, crop[0], stride[0])) {
    for (const [left, right] of windowSpans(image.width, crop[1], stride[1])) {
      const part = cut(image, left, top, right - left, bottom - top);
      const scores = await segmentWhole(run, spec, part);
      total ??= { data: new Float32Array(scores.planes * area), planes: scores.planes };
      for (let plane = 0; plane < scores.planes; plane++) {
        for (let y = 0; y < part.height; y++) {
          const source = (plane * part.height + y) * part.width;
          const target = plane * area + (top + y) * image.width + left;
          for (let x = 0; x < part.width; x++) total.data[target + x] += scores.data[source + x];
        }
      }
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) count[y * image.width + x] += 1;
      }
    }
  }
  for (let i = 0; i < total.data.length; i++) total.data[i] /= count[i % area];
  return { ...total, width: image.width, height: image.height };
}

/** Where windows begin and end along one side, the last one flush with the end. */
function windowSpans(length, crop, stride) {
  const count = Math.floor(Math.max(length - crop + stride - 1, 0) / stride) + 1;
  return Array.from({ length: count }, (_, i) => {
    const end = Math.min(i * stride + crop, length);
    return [Math.max(end - crop, 0), end];
  });
}

function cropScores(scores, { width, height }) {
  if (scores.width === width && scores.height === height) return scores;
  const data = new scores.data.constructor(scores.planes * width * height);
  for (let plane = 0; plane < scores.planes; plane++) {
    for (let y = 0; y < height; y++) {
      const start = (plane * scores.height + y) * scores.width;
      data.set(scores.data.subarray(start, start + width), (plane * height + y) * width);
    }
  }
  return { data, planes: scores.planes, width, height };
}

/** Logits bilinearly, labels to the nearest. */
function resizeScores(scores, width, height, spec) {
  if (scores.width === width && scores.height === height) return scores;
  const data = new scores.data.constructor(scores.planes * width * height);
  for (let y = 0; y < height; y++) {
    const rows = rowsOf(scores, y, width, height, spec);
    rows.forEach((row, plane) => data.set(row, (plane * height + y) * width));
  }
  return { data, planes: scores.planes, width, height };
}

/** The class of every pixel of a picture of a size, row by row, so that large ones need no more room. */
function labelsOf(scores, width, height, spec) {
  const labels = new Uint16Array(width * height);
  for (let y = 0; y < height; y++) {
    const rows = rowsOf(scores, y, width, height, spec);
    for (let x = 0; x < width; x++) {
      let best = 0;
      if (spec.argmax) best = rows[0][x];
      else for (let i = 1; i < rows.length; i++) if (rows[i][x] > rows[best][x]) best = i;
      labels[y * width + x] = best;
    }
  }
  return labels;
}

/** Row y of every plane, in another size. */
function rowsOf(scores, y, width, height, spec) {
  const plane = (i) => scores.data.subarray(i * scores.width * scores.height, (i + 1) * scores.width * scores.height);
  const planes = Array.from({ length: scores.planes }, (_, i) => plane(i));
  if (scores.width === width && scores.height === height) {
    return planes.map((values) => values.subarray(y * width, (y + 1) * width));
  }
  if (spec.argmax) {
    const nearest = (place, from, to) => Math.min(Math.floor((place + 0.5) * (from / to)), from - 1);
    const row = nearest(y, scores.height, height) * scores.width;
    return planes.map((values) => Int32Array.from({ length: width }, (_, x) => values[row + nearest(x, scores.width, width)]));
  }
  const [top, down] = between(y, scores.height, height, spec.align_corners);
  const bottom = Math.min(top + 1, scores.height - 1);
  const columns = Array.from({ length: width }, (_, x) => between(x, scores.width, width, spec.align_corners));
  return planes.map((values) => {
    const upper = values.subarray(top * scores.width, (top + 1) * scores.width);
    const lower = values.subarray(bottom * scores.width, (bottom + 1) * scores.width);
    return Float32Array.from(columns, ([left, across]) => {
      const right = Math.min(left + 1, scores.width - 1);
      return (
        (upper[left] * (1 - across) + upper[right] * across) * (1 - down) +
        (lower[left] * (1 - across) + lower[right] * across) * down
      );
    });
  });
}

/** The first of the two old positions around a new one, and how far it is from it. */
function between(place, from, to, alignsCorners) {
  const scale = alignsCorners ? Math.fround((from - 1) / Math.max(to - 1, 1)) : Math.fround(from / to);
  const exact = alignsCorners
    ? Math.fround(scale * place)
    : Math.max(Math.fround(Math.fround(scale * (place + 0.5)) - 0.5), 0);
  const low = Math.min(Math.floor(exact), from - 1);
  return [low, Math.fround(exact - low)];
}
