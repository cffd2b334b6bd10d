/**
 * The worker: takes entries from the calling thread, and delivers them. It never uses `console` nor `process.stderr`:
 * these need the calling thread, which may be waiting for this one.
 */
import { webcrypto } from "node:crypto";
import { parentPort, workerData } from "node:worker_threads";
import { gunzipSync, gzipSync } from "node:zlib";

import { Delivery } from "../delivery.js";
import { lossLine } from "../entry.js";
import { DEAD_LETTERED, DELIVERED, DROPPED, ENDED, MOVED, SPOOLED, TAKEN, add } from "./counters.js";
import { Heritage } from "./heritage.js";
import { poster } from "./post.js";
import { Spool } from "./spool.js";
import { say } from "./stderr.js";

/** How often a server error is tried again before the batch is set aside. */
const MAX_RETRIES = 3;
/** Lines on stderr a minute; there may be a dead letter for each record. */
const MOST_LINES = 20;
/** How often it is looked whether the end is reached. */
const LOOK = 5;

// Node 18 has no global one; this thread's globals are its own.
globalThis.crypto ??= /** @type {any} */ (webcrypto);

/** @type {{settings: import("../settings.js").Settings, counters: import("./counters.js").Counters}} */
const { settings, counters } = workerData;
const spool = settings.spoolDir ? new Spool(settings.spoolDir, settings.base) : undefined;
/** What the counters know of already. @type {Record<number, number>} */
const counted = {};
let lines = 0;
let minute = -Infinity;
/** @type {NodeJS.Timeout | undefined} */
let looking;

/** @param {number} place @param {number} count */
function count(place, count) {
  add(counters, place, count - (counted[place] ?? 0));
  counted[place] = count;
}

const delivery = new Delivery(
  { ...settings, maxRetries: MAX_RETRIES },
  {
    post: poster(settings),
    pack: (text) => gzipSync(text, { level: 1 }),
    unpack: (bytes) => gunzipSync(bytes).toString(),
    timer(run, milliseconds) {
      const timer = setTimeout(run, milliseconds);
      return () => clearTimeout(timer);
    },
    now: () => performance.now(),
    time: () => Date.now(),
    random: Math.random,
    say(text) {
      const now = performance.now();
      if (now - minute > 60_000) [minute, lines] = [now, 0];
      if (++lines <= MOST_LINES) say(text);
    },
    loss: (losses, seconds) => lossLine(settings.common, losses, seconds),
    store: spool,
    changed({ delivered, deadLettered, dropped }) {
      count(DELIVERED, delivered);
      count(DEAD_LETTERED, deadLettered);
      for (const [reason, number] of Object.entries(dropped)) count(DROPPED[reason], number);
    },
  },
);

const heritage = spool && new Heritage(spool, delivery);
void heritage?.begin();

/** Nothing more can be sent: what is left stays in the spool, or is lost. */
function finish() {
  clearInterval(looking);
  looking = undefined;
  delivery.close();
  delivery.stop();
  let [kept, lost] = [0, 0];
  for (const batch of delivery.outbox.batches.splice(0)) {
    // What others left stays there.
    if (batch.adopted) continue;
    if (spool?.holds(batch)) kept += batch.count;
    else lost += batch.count;
  }
  if (kept) say(`${kept} records could not be sent in time; they are in ${spool?.place}, and the next process that uses it, or logcollector spool replay, sends them`);
  if (lost) say(`${lost} records could not be sent in time and were dropped`);
  delivery.lose("shutdown", lost);
  add(counters, SPOOLED, kept);
}

/** Deliver what is here until a time, in milliseconds since 1970, and call `ended`. @param {number} end @param {() => void} ended */
function drain(end, ended) {
  const done = () => {
    heritage?.end();
    ended();
  };
  heritage?.stop();
  if (delivery.isStopped) {
    finish();
    done();
    return;
  }
  delivery.hasten(Math.max(0, end - Date.now()));
  clearInterval(looking);
  const look = () => {
    delivery.close();
    if (delivery.outbox.batches.some(({ adopted }) => !adopted)) {
      if (!delivery.isHopeless && Date.now() < end) return;
      finish();
    }
    clearInterval(looking);
    done();
  };
  looking = setInterval(look, LOOK);
  look();
}

/** The calling thread may wait for this. @param {number} flag @param {number} value */
function raise(flag, value) {
  Atomics.store(counters.flags, flag, value);
  Atomics.notify(counters.flags, flag);
}

let moved = 0;
raise(MOVED, ++moved);
parentPort?.on("message", ({ text, urgent, dropped, flush, close, end, number }) => {
  if (text !== undefined) {
    const lines = text ? text.split("\n") : [];
    delivery.lose("queue_full", dropped);
    delivery.add(lines, urgent);
    add(counters, TAKEN, lines.length);
    raise(MOVED, ++moved);
  } else if (flush !== undefined) {
    void delivery.flush(flush).then((done) => parentPort?.postMessage({ number, done }));
  } else if (close !== undefined) {
    const before = delivery.outbox.dropped;
    drain(Date.now() + close, () => parentPort?.postMessage({ number, done: delivery.outbox.dropped === before && !delivery.isStopped }));
  } else {
    drain(end, () => raise(ENDED, 1));
  }
});
