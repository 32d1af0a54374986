// What stands beside the picture: scores, classes, objects, and the pictures before.

const BARS = 40;

function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function chip(colour) {
  const made = element('span', { className: 'chip' });
  made.style.background = colour;
  return made;
}

/** How many objects have which score, over the slider; areas of bars would hide the rare ones, so roots. */
export function fillHistogram(place, objects, threshold) {
  const counts = new Array(BARS).fill(0);
  for (const { score } of objects) counts[Math.min(Math.floor(score * BARS), BARS - 1)] += 1;
  const most = Math.max(...counts, 1);
  const bars = counts.map((count, i) => {
    const bar = element('i', { className: (i + 1) / BARS <= threshold ? 'out' : '' });
    bar.style.height = `${100 * Math.sqrt(count / most)}%`;
    return bar;
  });
  place.replaceChildren(...bars);
}

/** Classes with their counts; a click hides one or shows it again. */
export function fillClasses(place, classes, hidden, toggle) {
  const rows = classes.map(({ label, name, colour, count }) => {
    const children = colour ? [chip(colour)] : [];
    children.push(name, element('span', { className: 'count', textContent: count }));
    const button = element('button', { type: 'button', onclick: () => toggle(label) }, children);
    button.setAttribute('aria-pressed', String(!hidden.has(label)));
    return element('li', {}, [button]);
  });
  place.replaceChildren(...rows);
}

/** Objects, or classes, with their scores as bars. */
export function fillObjects(place, objects, mark) {
  const rows = objects.map((object) => {
    const bar = element('i');
    bar.style.width = `${100 * object.score}%`;
    const row = element('li', { object, onpointerenter: () => mark(object), onpointerleave: () => mark(null) }, [
      chip(object.colour),
      element('span', { className: 'name', textContent: object.name, title: object.name }),
      element('span', { className: 'track' }, [bar]),
      element('span', { className: 'score', textContent: object.score.toFixed(2) }),
    ]);
    return row;
  });
  place.replaceChildren(...rows);
  place.parentElement.style.display = rows.length ? '' : 'none';
}

/** Small pictures of all that were dropped, with the number of objects. */
export function fillStrip(place, entries, current, threshold, show) {
  const buttons = entries.map((entry) => {
    const children = [element('img', { src: entry.url, alt: entry.name })];
    const tag = tagOf(entry, threshold);
    if (tag) children.push(element('span', { className: 'tag', textContent: tag }));
    const button = element('button', { type: 'button', title: entry.name, onclick: () => show(entry) }, children);
    button.setAttribute('aria-current', String(entry === current));
    return button;
  });
  place.replaceChildren(...buttons);
}

function tagOf({ found, error }, threshold) {
  if (error) return '!';
  if (!found) return '…';
  if (found.objects) return String(found.objects.filter(({ score }) => score >= threshold).length);
  return found.scores ? found.scores[0].name : '';
}
