/**
 * How a process ends: whoever has records that are not sent is told, and blocks until they are.
 *
 * Covered are the natural end, `process.exit`, what nobody caught (all by the event `exit`), and SIGTERM and SIGINT where
 * the application handles neither: then our handler drains, removes itself and raises the signal again. Nothing can be
 * done at SIGKILL and `process.abort`.
 */
import { isMainThread } from "node:worker_threads";

/** Marks our handlers, also those of another copy of this package. */
const OURS = Symbol.for("logcollector-handler.signal");
/** @type {Record<string, number>} */
const SIGNALS = { SIGTERM: 15, SIGINT: 2 };

/** @typedef {{drain: () => void}} Draining blocks until everything is sent, or the time is over */

/** @type {Set<Draining>} */
const draining = new Set();
/** @type {Map<string, () => void>} */
const handlers = new Map();

/** From now on this one drains when the process ends. @param {Draining} one */
export function register(one) {
  if (draining.size === 0) {
    process.on("exit", drainAll);
    // Signals are the main thread's.
    if (isMainThread) for (const name of Object.keys(SIGNALS)) handle(name);
  }
  draining.add(one);
}

/** @param {Draining} one */
export function unregister(one) {
  if (!draining.delete(one) || draining.size > 0) return;
  process.off("exit", drainAll);
  for (const [name, handler] of handlers) process.off(name, handler);
  handlers.clear();
}

function drainAll() {
  for (const one of draining) one.drain();
}

/** Handle a signal, where nobody does. @param {string} name */
function handle(name) {
  if (process.listenerCount(name) > 0) return;
  const handler = () => {
    // The application handles it by now, and decides what happens.
    if (process.listeners(/** @type {any} */ (name)).some((each) => !Object.hasOwn(each, OURS))) return;
    drainAll();
    process.off(name, handler);
    handlers.delete(name);
    if (process.listenerCount(name) > 0) return;
    // The kernel ignores a signal at its default for process 1.
    if (process.pid === 1) process.exit(128 + SIGNALS[name]);
    process.kill(process.pid, name);
  };
  handlers.set(name, Object.assign(handler, { [OURS]: true }));
  process.on(name, handler);
}
