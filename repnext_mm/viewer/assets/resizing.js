// Resizes images as OpenCV and Pillow do: networks see in the browser what they see in Python.
// Bit by bit, unless Pillow resizes a tall image downwards first: then nearly.
//
// An image is {data, width, height}: Uint8Array of height * width * 3 values, RGB.

const CHANNELS = 3;

/** An image of zeros. */
export function blank(width, height) {
  return { data: new Uint8Array(width * height * CHANNELS), width, height };
}

/** Resizes an image to a width and height with an interpolation of a backend, named as in the file's metadata. */
export function resizeImage(image, width, height, backend, interpolation) {
  if (width < 1 || height < 1) {
    throw new Error(`a picture of ${image.width} x ${image.height} pixels is too narrow for this network`);
  }
  if (width === image.width && height === image.height) return image;
  if (backend === 'cv2' && interpolation === 'bilinear') return resizeAsOpenCV(image, width, height);
  if (backend === 'pillow' && interpolation in FILTERS) return resizeAsPillow(image, width, height, interpolation);
  throw new Error(`this page cannot resize as ${backend} does with ${interpolation}`);
}

// OpenCV, INTER_LINEAR on 8 bits: weights of 11 bits, the rows' sums cut by 4 bits, products cut by 16.

const WEIGHT = 2048;

function resizeAsOpenCV(image, width, height) {
  if (image.width === 2 * width && image.height === 2 * height) return halve(image, width, height);
  const across = linearWeights(image.width, width, true);
  const down = linearWeights(image.height, height, false);
  const result = blank(width, height);
  const rows = new Map();
  const row = (y) => {
    if (!rows.has(y)) {
      if (rows.size > 2) rows.delete(rows.keys().next().value);
      rows.set(y, sumsOfRow(image, y, across, width));
    }
    return rows.get(y);
  };
  for (let y = 0; y < height; y++) {
    const { first, second, weights } = down;
    const upper = row(first[y]);
    const lower = row(second[y]);
    const [a, b] = [weights[2 * y], weights[2 * y + 1]];
    const start = y * width * CHANNELS;
    for (let i = 0; i < width * CHANNELS; i++) {
      result.data[start + i] = (((a * (upper[i] >> 4)) >> 16) + ((b * (lower[i] >> 4)) >> 16) + 2) >> 2;
    }
  }
  return result;
}

/** The two neighbours of each new position, and their weights. */
function linearWeights(length, newLength, isClamped) {
  const first = new Int32Array(newLength);
  const second = new Int32Array(newLength);
  const weights = new Int32Array(2 * newLength);
  const scale = 1 / (newLength / length);
  for (let i = 0; i < newLength; i++) {
    const place = Math.fround((i + 0.5) * scale - 0.5);
    let start = Math.floor(place);
    let part = Math.fround(place - start);
    if (isClamped && start < 0) [start, part] = [0, 0];
    if (isClamped && start >= length - 1) [start, part] = [length - 1, 0];
    first[i] = clamp(start, length);
    second[i] = clamp(start + 1, length);
    weights[2 * i] = roundHalfEven(Math.fround(1 - part) * WEIGHT);
    weights[2 * i + 1] = roundHalfEven(part * WEIGHT);
  }
  return { first, second, weights };
}

function sumsOfRow(image, y, across, width) {
  const sums = new Int32Array(width * CHANNELS);
  const start = y * image.width * CHANNELS;
  for (let x = 0; x < width; x++) {
    const left = start + across.first[x] * CHANNELS;
    const right = start + across.second[x] * CHANNELS;
    const [a, b] = [across.weights[2 * x], across.weights[2 * x + 1]];
    for (let channel = 0; channel < CHANNELS; channel++) {
      sums[x * CHANNELS + channel] = image.data[left + channel] * a + image.data[right + channel] * b;
    }
  }
  return sums;
}

/** OpenCV takes the mean of four pixels where both sides are exactly halved. */
function halve(image, width, height) {
  const result = blank(width, height);
  const { data } = image;
  const line = image.width * CHANNELS;
  let target = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const corner = 2 * y * line + 2 * x * CHANNELS;
      for (let i = corner; i < corner + CHANNELS; i++) {
        result.data[target++] = (data[i] + data[i + CHANNELS] + data[i + line] + data[i + line + CHANNELS] + 2) >> 2;
      }
    }
  }
  return result;
}

// Pillow: weights of 22 bits over all pixels that a new one covers, first across, then down.

const PILLOW_ONE = 2 ** 22;
const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
const FILTERS = {
  box: { support: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: { support: 1, at: (x) => hamming(Math.abs(x)) },
  bicubic: { support: 2, at: (x) => cubic(Math.abs(x), -0.5) },
  lanczos: { support: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

function hamming(x) {
  if (x === 0) return 1;
  return x >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(x * Math.PI));
}

function cubic(x, a) {
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

function resizeAsPillow(image, width, height, name) {
  let result = image;
  if (width !== image.width) result = resampleAcross(result, width, FILTERS[name]);
  if (height !== image.height) result = transposed(resampleAcross(transposed(result), height, FILTERS[name]));
  return result;
}

function resampleAcross(image, width, filter) {
  const windows = pillowWindows(image.width, width, filter);
  const result = blank(width, image.height);
  let target = 0;
  for (let y = 0; y < image.height; y++) {
    const start = y * image.width;
    for (const { first, weights } of windows) {
      for (let channel = 0; channel < CHANNELS; channel++) {
        let sum = PILLOW_ONE / 2;
        let source = (start + first) * CHANNELS + channel;
        for (const weight of weights) {
          sum += weight * image.data[source];
          source += CHANNELS;
        }
        result.data[target++] = Math.min(255, Math.max(0, Math.floor(sum / PILLOW_ONE)));
      }
    }
  }
  return result;
}

function pillowWindows(length, newLength, filter) {
  const scale = length / newLength;
  const widening = Math.max(scale, 1);
  const support = filter.support * widening;
  return Array.from({ length: newLength }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(length, Math.trunc(centre + support + 0.5));
    const values = Array.from({ length: end - first }, (_, k) => filter.at((k + first - centre + 0.5) * (1 / widening)));
    const total = values.reduce((sum, value) => sum + value, 0);
    const weights = values.map((value) => {
      const scaled = (total === 0 ? value : value / total) * PILLOW_ONE;
      return Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
    });
    return { first, weights };
  });
}

function transposed(image) {
  const result = blank(image.height, image.width);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++) {
      const source = (y * image.width + x) * CHANNELS;
      result.data.set(image.data.subarray(source, source + CHANNELS), (x * image.height + y) * CHANNELS);
    }
  }
  return result;
}

function clamp(index, length) {
  return Math.min(Math.max(index, 0), length - 1);
}

/** The nearest integer, of two the even one, as Python and OpenCV round. */
export function roundHalfEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest === 0.5) return low % 2 === 0 ? low : low + 1;
  return rest < 0.5 ? low : low + 1;
}
