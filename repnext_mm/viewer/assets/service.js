// The network behind the HTTP service that this page comes from.

import { decodeRuns } from './masks.js';

export const PLACE = 'Pictures go to the service that shows this page, which keeps none of them.';

/**
 * Asks what the network is, and gives a way to use it.
 *
 * Returns {description, predict}; predict(picture) resolves to {width, height, seconds} with one of
 * objects: [{label, score, bbox, mask}], labels: one for each pixel, scores: [{label, score}].
 */
export async function openNetwork() {
  const description = await answerOf(await fetch('model'));
  const address = description.task === 'classification' ? 'predict' : 'predict?masks=rle';
  return { description, predict: (picture) => predict(address, picture) };
}

async function predict(address, picture) {
  const headers = { 'Content-Type': picture.type || 'application/octet-stream' };
  const answer = await answerOf(await fetch(address, { method: 'POST', body: picture, headers }));
  if (answer.objects) {
    const objects = answer.objects.map(({ segmentation, ...object }) => ({
      ...object,
      mask: segmentation ? decodeRuns(segmentation) : null,
    }));
    return { ...answer, objects };
  }
  if (answer.classes) return { ...answer, labels: labelsOf(answer) };
  return answer;
}

function labelsOf({ classes, width, height }) {
  const labels = new Uint16Array(width * height);
  for (const { label, segmentation } of classes) {
    const { data } = decodeRuns(segmentation);
    for (let i = 0; i < data.length; i++) if (data[i]) labels[i] = label;
  }
  return labels;
}

async function answerOf(response) {
  const answer = await response.json();
  if (response.ok) return answer;
  const { message, remedy } = answer.error;
  throw new Error(`${message}: ${remedy}`);
}
