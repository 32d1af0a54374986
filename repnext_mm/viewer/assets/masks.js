// Masks of objects: runs as COCO writes them, and bitmaps inside of a rectangle.
//
// A mask is {left, top, width, height, data}: Uint8Array of height * width zeros and ones.

/** Decodes a compressed run-length encoding of COCO, {size: [height, width], counts}, to a whole bitmap. */
export function decodeRuns({ size, counts }) {
  const [height, width] = size;
  const data = new Uint8Array(width * height);
  let place = 0;
  runLengths(counts).forEach((length, number) => {
    if (number % 2 === 1) {
      for (let i = place; i < place + length; i++) {
        data[(i % height) * width + Math.floor(i / height)] = 1;
      }
    }
    place += length;
  });
  return { left: 0, top: 0, width, height, data };
}

/** Lengths of the runs: numbers of 5 bits a letter, from the third on relative to the last but one. */
function runLengths(text) {
  const lengths = [];
  let position = 0;
  while (position < text.length) {
    let value = 0;
    let shift = 0;
    let letter;
    do {
      letter = text.charCodeAt(position++) - 48;
      value |= (letter & 31) << shift;
      shift += 5;
    } while (letter & 32);
    if (letter & 16 && shift < 32) value |= -1 << shift;
    if (lengths.length > 2) value += lengths[lengths.length - 2];
    lengths.push(value);
  }
  return lengths;
}

/** The inverse of decodeRuns, for a mask in an image of a size. */
export function encodeRuns(mask, imageWidth, imageHeight) {
  const lengths = [];
  let last = 0;
  let length = 0;
  for (let x = 0; x < imageWidth; x++) {
    for (let y = 0; y < imageHeight; y++) {
      const value = isInside(mask, x, y) ? 1 : 0;
      if (value !== last) {
        lengths.push(length);
        [length, last] = [0, value];
      }
      length++;
    }
  }
  lengths.push(length);
  const letters = lengths.map((value, i) => lettersOf(i > 2 ? value - lengths[i - 2] : value));
  return { size: [imageHeight, imageWidth], counts: letters.join('') };
}

function lettersOf(value) {
  let text = '';
  for (;;) {
    const bits = value & 31;
    value >>= 5;
    const isLast = bits & 16 ? value === -1 : value === 0;
    text += String.fromCharCode((isLast ? bits : bits | 32) + 48);
    if (isLast) return text;
  }
}

/** Whether a pixel of the image belongs to a mask. */
export function isInside(mask, x, y) {
  const column = x - mask.left;
  const row = y - mask.top;
  const isNear = column >= 0 && row >= 0 && column < mask.width && row < mask.height;
  return isNear && mask.data[row * mask.width + column] === 1;
}

/** The number of pixels of a mask. */
export function areaOf(mask) {
  return mask.data.reduce((sum, value) => sum + value, 0);
}

/**
 * Puts a small mask where its box is: bilinear between the centres of its pixels, nothing beyond them.
 *
 * box is [x1, y1, x2, y2] in pixels; values are side * side probabilities, row by row.
 */
export function pasteMask(values, side, box, imageWidth, imageHeight, threshold) {
  const [x1, y1, x2, y2] = box;
  const left = Math.max(Math.floor(x1) - 1, 0);
  const top = Math.max(Math.floor(y1) - 1, 0);
  const width = Math.max(Math.min(Math.ceil(x2) + 1, imageWidth) - left, 0);
  const height = Math.max(Math.min(Math.ceil(y2) + 1, imageHeight) - top, 0);
  const data = new Uint8Array(width * height);
  const columns = neighbours(left, width, x1, x2, side);
  const rows = neighbours(top, height, y1, y2, side);
  const at = (row, column) =>
    row < 0 || column < 0 || row >= side || column >= side ? 0 : values[row * side + column];
  for (let y = 0; y < height; y++) {
    const [row, down] = rows[y];
    for (let x = 0; x < width; x++) {
      const [column, right] = columns[x];
      const value =
        (at(row, column) * (1 - right) + at(row, column + 1) * right) * (1 - down) +
        (at(row + 1, column) * (1 - right) + at(row + 1, column + 1) * right) * down;
      data[y * width + x] = Math.fround(value) >= threshold ? 1 : 0;
    }
  }
  return { left, top, width, height, data };
}

function neighbours(start, count, first, last, side) {
  return Array.from({ length: count }, (_, i) => {
    const part = Math.fround(Math.fround(start + i + 0.5 - first) / Math.fround(last - first));
    const place = (Number.isFinite(part) ? part : 0.5) * side - 0.5;
    const low = Math.floor(place);
    return [low, place - low];
  });
}
