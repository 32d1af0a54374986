// From the picture that was dropped to the image that the network takes, by the rules in the file's metadata.

import { blank, resizeImage, roundHalfEven } from './resizing.js';

/** Applies rules of size; returns the image, and its width and height relative to the original's. */
export function applyRules(image, rules) {
  return rules.reduce((prepared, rule) => RULES[rule.type](prepared, rule), { image, scale: [1, 1] });
}

const RULES = {
  resize(prepared, rule) {
    const size = [prepared.image.width, prepared.image.height];
    let wanted = rule.scale ?? size;
    if (rule.factor) wanted = scaled(size, rule.factor);
    if (rule.keep_ratio) {
      const ratio = Math.min(
        Math.max(...wanted) / Math.max(...size),
        Math.min(...wanted) / Math.min(...size),
      );
      wanted = scaled(size, [ratio, ratio]);
    }
    return resized(prepared, wanted, rule);
  },

  resize_edge(prepared, rule) {
    const { width, height } = prepared.image;
    const isWidth =
      rule.edge === 'width' ||
      (rule.edge === 'short' && width < height) ||
      (rule.edge === 'long' && width > height);
    const wanted = isWidth
      ? [rule.scale, Math.trunc((rule.scale * height) / width)]
      : [Math.trunc((rule.scale * width) / height), rule.scale];
    return resized(prepared, wanted, rule);
  },

  resize_to_multiple(prepared, rule) {
    const sides = [prepared.image.width, prepared.image.height];
    const wanted = sides.map((side, axis) => Math.ceil(side / rule.divisor[axis]) * rule.divisor[axis]);
    return resized(prepared, wanted, rule);
  },

  center_crop(prepared, rule) {
    const sides = [prepared.image.width, prepared.image.height];
    const [width, height] = sides.map((side, axis) => Math.min(rule.size[axis], side));
    const left = roundHalfEven((sides[0] - width) / 2);
    const top = roundHalfEven((sides[1] - height) / 2);
    return { ...prepared, image: cut(prepared.image, left, top, width, height) };
  },
};

function scaled(size, factor) {
  return size.map((side, axis) => Math.trunc(side * factor[axis] + 0.5));
}

function resized(prepared, [width, height], rule) {
  const { image, scale } = prepared;
  return {
    image: resizeImage(image, width, height, rule.backend, rule.interpolation),
    scale: [scale[0] * (width / image.width), scale[1] * (height / image.height)],
  };
}

/** A part of an image. */
export function cut(image, left, top, width, height) {
  if (width === image.width && height === image.height) return image;
  const result = blank(width, height);
  for (let y = 0; y < height; y++) {
    const start = ((top + y) * image.width + left) * 3;
    result.data.set(image.data.subarray(start, start + width * 3), y * width * 3);
  }
  return result;
}

/** Brings an image to the only size that a file takes: scaled down if too large, padded below and to the right. */
export function fitStatic(image, input) {
  if (!input.static_shape) return { image, scale: [1, 1] };
  const [height, width] = input.static_shape;
  let prepared = { image, scale: [1, 1] };
  if (image.width > width || image.height > height) {
    const ratio = Math.min(height / image.height, width / image.width);
    const side = (length, limit) => Math.min(Math.max(Math.trunc(length * ratio + 0.5), 1), limit);
    const wanted = [side(image.width, width), side(image.height, height)];
    prepared = resized(prepared, wanted, { backend: 'cv2', interpolation: 'bilinear' });
  }
  return { ...prepared, image: padded(prepared.image, width, height, paddingColour(input)) };
}

function padded(image, width, height, colour) {
  if (image.width === width && image.height === height) return image;
  const result = blank(width, height);
  for (let i = 0; i < result.data.length; i++) result.data[i] = colour[i % 3];
  for (let y = 0; y < image.height; y++) {
    result.data.set(image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3), y * width * 3);
  }
  return result;
}

/** The colour that normalization turns into zero. */
function paddingColour(input) {
  const mean = input.mean.length === 3 ? input.mean : [input.mean[0], input.mean[0], input.mean[0]];
  const ordered = input.network_channel_order === 'BGR' ? [...mean].reverse() : mean;
  return ordered.map((value) => Math.min(Math.max(roundHalfEven(value), 0), 255));
}
