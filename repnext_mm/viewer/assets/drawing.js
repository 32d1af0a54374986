// Pictures with what was found on them: masks and label maps as a layer of pixels, boxes and names as lines.

import { isInside } from './masks.js';

const MASK_OPACITY = 0.45;
const MARKED_OPACITY = 0.65;
const MOST_ENLARGED = 4;

/** How much a picture is enlarged to fit into a width and height; small ones not beyond four times. */
export function fittingScale(picture, width, height) {
  return Math.min(width / picture.width, height / picture.height, MOST_ENLARGED);
}

/**
 * Draws a picture and a layer on a canvas; returns its context, in which a unit is a pixel of the page.
 *
 * ratio is the number of the canvas's pixels for one of the page.
 */
export function drawPicture(canvas, picture, layer, scale, ratio) {
  const [width, height] = [Math.round(picture.width * scale), Math.round(picture.height * scale)];
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.aspectRatio = `${width} / ${height}`;
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  context.imageSmoothingQuality = 'high';
  context.drawImage(picture, 0, 0, width, height);
  if (layer) context.drawImage(layer, 0, 0, width, height);
  return context;
}

/** The layer of masks of objects, large ones first; edges are so many pixels of the picture wide. */
export function maskLayer(objects, width, height, edge, marked) {
  const layer = new OffscreenCanvas(width, height);
  const context = layer.getContext('2d');
  const pixels = context.createImageData(width, height);
  const values = new Uint32Array(pixels.data.buffer);
  const bySize = [...objects].sort((a, b) => b.bbox[2] * b.bbox[3] - a.bbox[2] * a.bbox[3]);
  for (const object of bySize) {
    if (!object.mask) continue;
    const colour = littleEndian(object.colour);
    const opacity = object === marked ? MARKED_OPACITY : MASK_OPACITY;
    const inner = (colour | (Math.round(opacity * 255) << 24)) >>> 0;
    const outer = (colour | 0xff000000) >>> 0;
    const { mask } = object;
    const [first, last] = [Math.max(Math.floor(object.bbox[1]) - 2, mask.top), mask.top + mask.height];
    for (let y = first; y < Math.min(last, height, Math.ceil(object.bbox[1] + object.bbox[3]) + 2); y++) {
      const left = Math.max(Math.floor(object.bbox[0]) - 2, mask.left);
      const right = Math.min(mask.left + mask.width, width, Math.ceil(object.bbox[0] + object.bbox[2]) + 2);
      for (let x = left; x < right; x++) {
        if (!isInside(mask, x, y)) continue;
        values[y * width + x] = isEdge(mask, x, y, edge, width, height) ? outer : inner;
      }
    }
  }
  context.putImageData(pixels, 0, 0);
  return layer;
}

function isEdge(mask, x, y, edge, width, height) {
  return (
    (x >= edge && !isInside(mask, x - edge, y)) ||
    (y >= edge && !isInside(mask, x, y - edge)) ||
    (x + edge < width && !isInside(mask, x + edge, y)) ||
    (y + edge < height && !isInside(mask, x, y + edge))
  );
}

/** The layer of a label map in the colours of its classes; hidden ones stay clear. */
export function labelLayer(labels, width, height, colours, opacity, hidden) {
  const layer = new OffscreenCanvas(width, height);
  const context = layer.getContext('2d');
  const pixels = context.createImageData(width, height);
  const alpha = Math.round(opacity * 255) << 24;
  const values = colours.map((colour, label) => (hidden.has(label) ? 0 : (littleEndian(colour) | alpha) >>> 0));
  const target = new Uint32Array(pixels.data.buffer);
  for (let i = 0; i < labels.length; i++) target[i] = values[labels[i]] ?? 0;
  context.putImageData(pixels, 0, 0);
  return layer;
}

/** A colour such as '#ff8000' as the first three bytes of a pixel. */
function littleEndian(colour) {
  const value = parseInt(colour.slice(1), 16);
  return ((value & 255) << 16) | (value & 0xff00) | (value >> 16);
}

export function drawBoxes(context, objects, scale, marked) {
  for (const object of objects) {
    const [x, y, width, height] = object.bbox.map((value) => value * scale);
    context.strokeStyle = object.colour;
    context.lineWidth = object === marked ? 3 : 1.75;
    context.strokeRect(x, y, width, height);
  }
}

/** Names and scores, the first ones where there is room, others only if they hide none of them. */
export function drawNames(context, objects, scale, marked) {
  const { width, height } = context.canvas;
  const ratio = context.getTransform().a;
  const limits = [width / ratio, height / ratio];
  const taken = [];
  context.font = '600 12px system-ui, sans-serif';
  context.textBaseline = 'middle';
  const ordered = marked ? [marked, ...objects.filter((object) => object !== marked)] : objects;
  for (const object of ordered) {
    const size = [context.measureText(object.caption).width + 10, 18];
    const place = placesOf(object.bbox, size, scale, limits).find((one) => !taken.some((other) => meet(one, other)));
    if (!place) continue;
    taken.push(place);
    const [x, y] = place;
    context.fillStyle = object.colour;
    context.beginPath();
    context.roundRect(x, y, size[0], size[1], 3);
    context.fill();
    context.fillStyle = textOn(object.colour);
    context.fillText(object.caption, x + 5, y + size[1] / 2 + 0.5);
  }
}

function placesOf(bbox, [width, height], scale, limits) {
  const [left, top, right, bottom] = [bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3]].map((v) => v * scale);
  const corners = [
    [left - 1, top - height],
    [left - 1, bottom],
    [right - width + 1, top - height],
    [right - width + 1, bottom],
  ];
  const inside = corners.filter(([, y]) => y >= 0 && y + height <= limits[1]);
  const all = inside.length ? inside : [[left + 2, top + 2]];
  return all.map(([x, y]) => [Math.min(Math.max(x, 0), Math.max(limits[0] - width, 0)), Math.max(y, 0), width, height]);
}

function meet([x, y, width, height], [left, top, across, down]) {
  return x < left + across && left < x + width && y < top + down && top < y + height;
}

/** Black or white, whichever has the higher contrast (WCAG 2). */
export function textOn(colour) {
  const value = parseInt(colour.slice(1), 16);
  const [red, green, blue] = [value >> 16, (value >> 8) & 255, value & 255].map((level) => {
    const part = level / 255;
    return part > 0.04045 ? ((part + 0.055) / 1.055) ** 2.4 : part / 12.92;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return (luminance + 0.05) ** 2 > 1.05 * 0.05 ? '#000' : '#fff';
}
