// What was found as files: a picture, and JSON as the service writes it.

import { areaOf, encodeRuns } from './masks.js';

function download(name, content) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

const stemOf = (name) => name.replace(/\.\w+$/, '');

/** A PNG of what draw(canvas) draws. */
export function savePicture(name, draw) {
  const canvas = document.createElement('canvas');
  draw(canvas);
  canvas.toBlob((content) => download(`${stemOf(name)}_found.png`, content), 'image/png');
}

/** The visible objects, the classes or the scores. */
export function saveData(name, found, objects) {
  const { width, height } = found;
  const content = { image: name, width, height };
  if (found.objects) content.objects = objects.map((object) => plain(object, width, height));
  else if (found.classes) content.classes = found.classes.map(({ label, name: known, pixels }) => ({ label, name: known, pixels }));
  else content.scores = found.scores.map(({ label, name: known, score }) => ({ label, name: known, score }));
  download(`${stemOf(name)}_found.json`, new Blob([JSON.stringify(content, null, 1)], { type: 'application/json' }));
}

function plain({ label, kind: name, score, bbox, mask }, width, height) {
  const entry = { label, name, score, bbox, area: bbox[2] * bbox[3] };
  return mask ? { ...entry, area: areaOf(mask), segmentation: encodeRuns(mask, width, height) } : entry;
}
