// The page: pictures in, what the network finds on them out.

import { PLACE, openNetwork } from './network.js';
import { drawBoxes, drawNames, drawPicture, fittingScale, labelLayer, maskLayer } from './drawing.js';
import { fillClasses, fillHistogram, fillObjects, fillStrip } from './lists.js';
import { saveData, savePicture } from './saving.js';
import { isInside } from './masks.js';

const USUAL_THRESHOLD = 0.3;
const MOST_SHOWN_NAMES = 40;
const TOP = 5;
const MOST_CLASSES_TOLD = 6;
const $ = (id) => document.getElementById(id);

const entries = [];
const view = { threshold: USUAL_THRESHOLD, opacity: 0.6, masks: true, boxes: true, names: true, hidden: new Set() };
let network = null;
let current = null;
let marked = null;

async function start() {
  $('place').textContent = PLACE;
  try {
    network = await openNetwork();
  } catch (error) {
    tell(error.message);
    $('about').textContent = 'The network could not be opened.';
    return;
  }
  const { name, task, classes } = network.description;
  document.title = name;
  $('name').textContent = name;
  $('about').textContent = aboutNetwork(network.description);
  $('views').hidden = task === 'classification';
  for (const button of $('views').children) {
    button.hidden = task === 'segmentation' ? button.dataset.view !== 'masks' : false;
    if (button.dataset.view === 'masks' && task === 'detection') button.hidden = !network.description.has_masks;
    if (task === 'segmentation') button.textContent = 'Classes';
    if (button.dataset.view === 'names' && classes.length === 1) button.textContent = 'Scores';
  }
  $('threshold-card').hidden = task !== 'detection';
  $('opacity-card').hidden = task !== 'segmentation';
  $('objects-card').hidden = task === 'segmentation';
  view.byClass = classes.length !== 1;
  view.boxes = !(task === 'detection' && network.description.has_masks && classes.length === 1);
  press(document.querySelector('[data-view=boxes]'), view.boxes);
  setThreshold(Math.max(USUAL_THRESHOLD, network.description.score_threshold ?? 0));
  $('opacity-value').textContent = view.opacity.toFixed(2);
  $('files').disabled = false;
  document.body.dataset.state = 'empty';
}

function aboutNetwork({ task, classes, has_masks: hasMasks }) {
  const kind = { segmentation: 'Segmentor', classification: 'Classifier', detection: 'Detector' }[task];
  const names = classes.slice(0, MOST_CLASSES_TOLD).join(', ');
  const told = classes.length > MOST_CLASSES_TOLD ? `${classes.length} classes: ${names}, …` : names;
  return [hasMasks ? `${kind} with masks` : kind, told].filter(Boolean).join(' · ');
}

/** Pictures are looked at one after the other; the first new one is shown at once. */
async function add(files) {
  const pictures = [...files].filter((file) => file.type.startsWith('image/') || file.type === '');
  if (!network || pictures.length === 0) return;
  tell('');
  document.body.dataset.state = 'busy';
  const added = pictures.map((file) => ({ file, name: file.name || 'pasted', url: URL.createObjectURL(file) }));
  entries.push(...added);
  for (const [number, entry] of added.entries()) {
    if (number === 0) await show(entry);
    await look(entry);
    if (entry === current) await show(entry);
    refreshStrip();
  }
  document.body.dataset.state = 'done';
}

async function look(entry) {
  try {
    const begun = performance.now();
    const found = await network.predict(entry.file);
    entry.milliseconds = Math.round(found.seconds ? found.seconds * 1000 : performance.now() - begun);
    entry.found = decorated(found);
  } catch (error) {
    entry.error = `${entry.name}: ${error.message}`;
  }
}

/** Names, colours and captions for all that was found. */
function decorated(found) {
  const { classes, colours, instance_colours: instanceColours } = network.description;
  const nameOf = (label) => classes[label] ?? String(label);
  const colourOf = (label) => colours[label % colours.length];
  if (found.objects) {
    found.objects = found.objects.map((object, number) => {
      const name = nameOf(object.label);
      const colour = view.byClass ? colourOf(object.label) : instanceColours[number % instanceColours.length];
      const score = object.score.toFixed(2);
      const caption = view.byClass ? `${name} ${score}` : score;
      return { ...object, name: view.byClass ? name : `${name} ${number + 1}`, kind: name, colour, caption };
    });
  } else if (found.labels) {
    const counts = new Map();
    for (const label of found.labels) counts.set(label, (counts.get(label) ?? 0) + 1);
    found.classes = [...counts]
      .sort((a, b) => b[1] - a[1])
      .map(([label, pixels]) => ({ label, name: nameOf(label), colour: colourOf(label), pixels }));
  } else {
    found.scores = found.scores.slice(0, TOP).map(({ label, score }) => ({
      label, score, name: nameOf(label), colour: colourOf(label),
    }));
  }
  return found;
}

async function show(entry) {
  current = entry;
  marked = null;
  entry.picture ??= await createImageBitmap(entry.file, { imageOrientation: 'from-image' }).catch(() => null);
  if (current !== entry) return;
  const isReadable = entry.picture !== null;
  $('result').hidden = !isReadable;
  $('result').classList.toggle('busy', !entry.found && !entry.error);
  tell(entry.error ?? '');
  refreshStrip();
  if (isReadable) refresh();
}

/** The objects that the threshold and the hidden classes leave, the most certain first. */
function visibleObjects() {
  return (current.found?.objects ?? []).filter(
    (object) => object.score >= view.threshold && !view.hidden.has(object.label),
  );
}

function refresh() {
  const { found, picture, name, milliseconds } = current;
  const time = milliseconds === undefined ? '' : `${milliseconds} ms`;
  const about = [`${name}, ${picture.width} × ${picture.height}`, time];
  $('caption').replaceChildren(...about.map((text) => Object.assign(document.createElement('span'), { textContent: text })));
  const objects = visibleObjects();
  if (found?.objects) {
    $('summary').textContent = objects.length === 1 ? '1 object' : `${objects.length} objects`;
    const isShown = (object) => object.score >= view.threshold;
    fillHistogram($('histogram'), found.objects, view.threshold);
    fillClasses($('classes'), countedClasses(found.objects.filter(isShown)), view.hidden, toggleClass);
    fillObjects($('objects'), objects, mark);
  } else if (found?.classes) {
    const area = found.width * found.height;
    const share = (pixels) => `${((100 * pixels) / area).toFixed(1)} %`;
    $('summary').textContent = found.classes.length === 1 ? '1 class' : `${found.classes.length} classes`;
    const counted = found.classes.map((one) => ({ ...one, count: share(one.pixels) }));
    fillClasses($('classes'), counted, view.hidden, toggleClass);
  } else {
    $('summary').textContent = found ? 'Most probable' : current.error ? 'Nothing' : 'Looking …';
    $('classes').replaceChildren();
    fillObjects($('objects'), found?.scores ?? [], () => {});
    $('histogram').replaceChildren();
  }
  paint();
}

function countedClasses(objects) {
  const counted = new Map();
  for (const { label, kind, colour } of objects) {
    const one = counted.get(label) ?? { label, name: kind, colour: view.byClass ? colour : null, count: 0 };
    counted.set(label, { ...one, count: one.count + 1 });
  }
  return [...counted.values()].sort((a, b) => b.count - a.count);
}

function paint() {
  const stage = $('canvas').parentElement;
  const room = Math.max(window.innerHeight - (entries.length > 1 ? 300 : 220), 320);
  const scale = fittingScale(current.picture, stage.clientWidth, room);
  draw($('canvas'), scale, window.devicePixelRatio || 1);
  current.scale = scale;
}

/** Draws the current picture in a scale, with all that is to be seen of what was found. */
function draw(canvas, scale, ratio) {
  const { found, picture } = current;
  const objects = visibleObjects();
  let layer = null;
  if (found?.labels && view.masks) {
    layer = labelLayer(found.labels, found.width, found.height, network.description.colours, view.opacity, view.hidden);
  } else if (view.masks && objects.some((object) => object.mask)) {
    layer = maskLayer(objects, found.width, found.height, Math.max(1, Math.round(1.5 / scale)), marked);
  }
  const context = drawPicture(canvas, picture, layer, scale, ratio);
  const hasMasks = view.masks && objects.some((object) => object.mask);
  if (view.boxes) drawBoxes(context, objects, scale, marked);
  else if (marked && !hasMasks) drawBoxes(context, [marked], scale, marked);
  const named = view.names ? objects.slice(0, MOST_SHOWN_NAMES) : [];
  drawNames(context, named.includes(marked) || !marked ? named : [marked, ...named], scale, marked);
  canvas.setAttribute('aria-label', `${current.name} with ${objects.length} objects`);
}

function mark(object) {
  if (object === marked) return;
  marked = object;
  [...$('objects').children].forEach((row) => row.classList.toggle('marked', row.object === object));
  if (current?.picture) paint();
}

function toggleClass(label) {
  if (!view.hidden.delete(label)) view.hidden.add(label);
  refresh();
}

function setThreshold(value) {
  view.threshold = value;
  $('threshold').value = value;
  $('threshold-value').textContent = value.toFixed(2);
}

function press(button, isPressed) {
  button.setAttribute('aria-pressed', String(isPressed));
}

function tell(text) {
  $('message').textContent = text;
  $('message').hidden = text === '';
}

function refreshStrip() {
  $('strip').hidden = entries.length < 2;
  fillStrip($('strip'), entries, current, view.threshold, show);
}

/** The object under the pointer, the smallest of several. */
function objectAt(event) {
  const [x, y] = [event.offsetX, event.offsetY].map((value) => Math.floor(value / current.scale));
  const under = visibleObjects().filter(({ bbox, mask }) => {
    const isInBox = x >= bbox[0] && y >= bbox[1] && x <= bbox[0] + bbox[2] && y <= bbox[1] + bbox[3];
    return isInBox && (!mask || isInside(mask, x, y));
  });
  return under.sort((a, b) => a.bbox[2] * a.bbox[3] - b.bbox[2] * b.bbox[3])[0] ?? null;
}

$('files').addEventListener('change', (event) => {
  add(event.target.files);
  event.target.value = '';
});
$('threshold').addEventListener('input', (event) => {
  setThreshold(Number(event.target.value));
  if (current) refresh();
  refreshStrip();
});
$('opacity').addEventListener('input', (event) => {
  view.opacity = Number(event.target.value);
  $('opacity-value').textContent = view.opacity.toFixed(2);
  if (current) paint();
});
$('views').addEventListener('click', ({ target }) => {
  const key = target.dataset.view;
  if (!key) return;
  view[key] = !view[key];
  press(target, view[key]);
  if (current?.picture) paint();
});
$('canvas').addEventListener('pointermove', (event) => current?.found?.objects && mark(objectAt(event)));
$('canvas').addEventListener('pointerleave', () => mark(null));
$('save-picture').addEventListener('click', () => current?.found && savePicture(current.name, (canvas) => draw(canvas, 1, 1)));
$('save-data').addEventListener('click', () => current?.found && saveData(current.name, current.found, visibleObjects()));
window.addEventListener('resize', () => current?.picture && paint());
window.addEventListener('paste', (event) => add(event.clipboardData.files));
window.addEventListener('dragover', (event) => {
  event.preventDefault();
  document.body.classList.add('dragging');
});
window.addEventListener('dragleave', (event) => event.relatedTarget ?? document.body.classList.remove('dragging'));
window.addEventListener('drop', (event) => {
  event.preventDefault();
  document.body.classList.remove('dragging');
  add(event.dataTransfer.files);
});

start();
