// The network on this page's own machine: pictures stay there.

export const PLACE = 'Pictures stay on this machine: the network runs in this browser.';

/** Opens the network beside this page; see service.js for what comes back. */
export async function openNetwork() {
  const description = await (await fetch(new URL('model.json', import.meta.url))).json();
  const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
  const waiting = new Map();
  let count = 0;
  worker.addEventListener('message', ({ data: { number, answer, error } }) => {
    const { resolve, reject } = waiting.get(number);
    waiting.delete(number);
    if (error === undefined) resolve(answer);
    else reject(new Error(error));
  });
  worker.addEventListener('error', (event) => {
    const error = new Error(`the network could not be started: ${event.message ?? 'worker.js did not load'}`);
    waiting.forEach(({ reject }) => reject(error));
    waiting.clear();
  });
  const ask = (job, argument) =>
    new Promise((resolve, reject) => {
      waiting.set(++count, { resolve, reject });
      worker.postMessage({ number: count, job, argument });
    });
  await ask('open', description);
  return { description, predict: (picture) => ask('predict', picture) };
}
