/**
 * The pipeline in the calling thread: gathers entries, hands them to the worker in arrays, and waits for it only when the
 * process ends, or when the worker is behind by a whole queue.
 *
 * The worker does not keep the process alive. It is made at the first record, or where an earlier process left something.
 */
import { Worker } from "node:worker_threads";

import { DEAD_LETTERED, DELIVERED, DROPPED, ENDED, MOVED, SPOOLED, TAKEN, add, makeCounters, read } from "./counters.js";
import { register, unregister } from "./ends.js";
import { isAnythingLeft } from "./spool.js";
import { say } from "./stderr.js";

/** Entries are handed over when there are so many, or after so many milliseconds: a message for each costs more. */
const AT_ONCE = 1000;
const AT_LATEST = 50;
/** How long a call waits for a worker that is behind, and for one that is not up yet. */
const PATIENCE = 250;
const PATIENCE_AT_START = 2000;
/** What the worker has beside the deadline, to write what is left. */
const GRACE = 1000;
/** How long after a worker has died the next one is made. */
const RECOVERY = 1000;

/** @typedef {Record<"began" | "ended", (pipeline: NodePipeline) => void>} Life called when one makes its worker, and when it is closed */

export class NodePipeline {
  /** @param {import("../settings.js").Settings} settings @param {Life} [life] */
  constructor(settings, life) {
    this.settings = settings;
    this.life = life;
    this.counters = makeCounters();
    this.accepted = 0;
    /** Records that were handed to the worker. */
    this.handed = 0;
    /** @type {string[]} */
    this.buffer = [];
    this.isUrgent = false;
    /** When an urgent entry was handed over at once. */
    this.urgentAt = -Infinity;
    /** Records that were dropped here, which the worker does not know yet. */
    this.dropped = 0;
    /** @type {Worker | undefined} */
    this.worker = undefined;
    this.diedAt = -Infinity;
    /** @type {NodeJS.Timeout | undefined} */
    this.timer = undefined;
    /** What `MOVED` was when a call waited in vain. */
    this.stuckAt = -1;
    /** Until when the process may take to end, once it does. @type {number | undefined} */
    this.end = undefined;
    this.number = 0;
    /** Who waits for an answer of the worker. @type {Map<number, (done: boolean) => void>} */
    this.waiting = new Map();
    /** The end that is under way. @type {Promise<boolean> | undefined} */
    this.closing = undefined;
    this.drain = this.drain.bind(this);
    this.hand = this.hand.bind(this);
    // Perhaps nothing is logged that would have the worker made, which sends it.
    if (settings.spoolDir && isAnythingLeft(settings.spoolDir, settings.base)) this.start();
  }

  /** @param {string} line @param {boolean} urgent */
  send(line, urgent) {
    this.accepted++;
    if (this.behind() >= this.settings.maxQueueSize && !this.hasRoom()) {
      this.dropped++;
      // The oldest goes, if it is still here.
      if (this.buffer.shift() === undefined) return;
    }
    this.buffer.push(line);
    if (this.end !== undefined) {
      // Another listener of `exit` logs.
      this.drain();
      return;
    }
    this.isUrgent ||= urgent;
    const now = urgent ? performance.now() : 0;
    // A storm of errors does not become a message for each.
    if (this.buffer.length >= AT_ONCE || (urgent && now - this.urgentAt >= AT_LATEST)) {
      if (urgent) this.urgentAt = now;
      this.hand();
    } else if (this.timer === undefined) {
      this.timer = setTimeout(this.hand, AT_LATEST);
      this.timer.unref();
      // Now, and not when the first array is handed over: the process may end before.
      if (!this.worker) this.start();
    }
  }

  /** How many records the worker has not taken yet. */
  behind() {
    return this.handed - read(this.counters, TAKEN) + this.buffer.length;
  }

  /** Wait as long as the worker takes something; false when it does not, and not again until it has moved. */
  hasRoom() {
    const { flags } = this.counters;
    this.hand();
    for (;;) {
      if (this.behind() < this.settings.maxQueueSize) return true;
      const moved = Atomics.load(flags, MOVED);
      if (moved === this.stuckAt || !this.worker) return false;
      if (Atomics.wait(flags, MOVED, moved, moved ? PATIENCE : PATIENCE_AT_START) === "timed-out") this.stuckAt = moved;
    }
  }

  /** Hand what is here to the worker. */
  hand() {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (!this.buffer.length && !this.dropped) return;
    if (!this.worker && !this.start()) {
      // Perhaps nothing is logged any more that would try again.
      this.timer = setTimeout(this.hand, RECOVERY);
      this.timer.unref();
      return;
    }
    const { buffer, isUrgent: urgent, dropped } = this;
    this.handed += buffer.length;
    this.buffer = [];
    this.isUrgent = false;
    this.dropped = 0;
    // One text, which is copied in a fraction of the time that an array of texts takes. JSON has no line ends.
    this.worker?.postMessage({ text: buffer.join("\n"), urgent, dropped });
  }

  start() {
    if (performance.now() - this.diedAt < RECOVERY) return false;
    try {
      const { settings, counters } = this;
      // It is not up yet, for `hasRoom`.
      Atomics.store(counters.flags, MOVED, 0);
      this.stuckAt = -1;
      const worker = new Worker(new URL("./worker.js", import.meta.url), {
        workerData: { settings, counters },
        name: "logcollector-handler",
        // What an application preloads is not for this thread.
        execArgv: [],
      });
      worker.on("message", ({ number, done }) => this.waiting.get(number)?.(done));
      worker.on("error", (error) => this.died(worker, `ended: ${error?.message ?? error}`));
      worker.on("exit", () => this.died(worker, "ended"));
      // After the listeners: with the first one for messages, Node lets it keep the process alive.
      worker.unref();
      this.worker = worker;
      register(this);
      this.life?.began(this);
      return true;
    } catch (error) {
      // It is tried again and again, and said once.
      if (this.diedAt === -Infinity) say(`the thread that sends logs cannot be made, they are kept as long as there is room: ${error}`);
      this.diedAt = performance.now();
      return false;
    }
  }

  /** What a worker had is lost with it. @param {Worker} worker @param {string} how */
  died(worker, how) {
    if (this.worker !== worker) return;
    this.worker = undefined;
    this.diedAt = performance.now();
    const lost = this.handed - this.settled();
    // All that was handed over is settled now, and counted as taken: nothing of it is waited for.
    add(this.counters, DROPPED.worker, lost);
    add(this.counters, TAKEN, this.handed - read(this.counters, TAKEN));
    say(`the thread that sends logs ${how}; ${lost} records were lost with it`);
    for (const done of [...this.waiting.values()]) done(false);
  }

  /** Of what was handed over, how many records nobody needs to wait for. */
  settled() {
    // The records that were dropped here were not handed over.
    const { queue_full, ...dropped } = DROPPED;
    return [DELIVERED, DEAD_LETTERED, SPOOLED, ...Object.values(dropped)].reduce((sum, place) => sum + read(this.counters, place), 0);
  }

  /**
   * Ask the worker for something, and keep the process alive until it has answered.
   *
   * @param {string} what
   * @param {number} milliseconds
   * @returns {Promise<boolean>}
   */
  ask(what, milliseconds) {
    this.hand();
    const { worker } = this;
    if (!worker) return Promise.resolve(this.buffer.length === 0);
    const number = ++this.number;
    return new Promise((resolve) => {
      this.waiting.set(number, (done) => {
        this.waiting.delete(number);
        if (this.waiting.size === 0) worker.unref();
        resolve(done);
      });
      worker.ref();
      worker.postMessage({ [what]: milliseconds, number });
    });
  }

  /** @param {number} milliseconds */
  async flush(milliseconds) {
    return this.ask("flush", milliseconds);
  }

  /** Whoever closes it meanwhile waits for the same end. @param {number} milliseconds */
  close(milliseconds) {
    this.closing ??= this.endWorker(milliseconds);
    return this.closing;
  }

  /** @param {number} milliseconds */
  async endWorker(milliseconds) {
    let done = true;
    do {
      done = (await this.ask("close", milliseconds)) && done;
      // A record that came meanwhile goes to the same worker, which is asked again.
    } while (this.worker && (this.buffer.length || this.handed !== this.settled()));
    const { worker } = this;
    // What is logged from here on opens it again.
    this.worker = this.closing = undefined;
    unregister(this);
    this.life?.ended(this);
    // A flush that the worker has no time to answer.
    for (const answer of [...this.waiting.values()]) answer(done);
    await worker?.terminate();
    return done;
  }

  /** Block until everything is sent or in the spool. Called when the process ends. */
  drain() {
    this.end ??= Date.now() + this.settings.shutdownTimeout;
    // There is no time to wait until a worker may be made again.
    this.diedAt = -Infinity;
    this.hand();
    const { worker, buffer, counters, handed, end } = this;
    if (buffer.length) say(`${buffer.length} records could not be sent: there is no thread that sends them`);
    // A worker that is up may have a socket in the spool, which it removes.
    const isNeeded = handed !== this.settled() || (this.settings.spoolDir && Atomics.load(counters.flags, MOVED));
    if (!worker || !isNeeded) return;
    Atomics.store(counters.flags, ENDED, 0);
    worker.postMessage({ end });
    const left = Math.max(0, end - Date.now()) + GRACE;
    if (Atomics.wait(counters.flags, ENDED, 0, left) === "timed-out") {
      say(`${handed - this.settled()} records could not be sent in time and are lost`);
    }
  }

  /** @returns {import("../client.js").Stats} */
  stats() {
    /** @type {Record<string, number>} */
    const dropped = {};
    for (const [reason, place] of Object.entries(DROPPED)) {
      const count = read(this.counters, place) + (reason === "queue_full" ? this.dropped : 0);
      if (count) dropped[reason] = count;
    }
    const [delivered, deadLettered] = [DELIVERED, DEAD_LETTERED].map((place) => read(this.counters, place));
    const gone = Object.values(dropped).reduce((sum, each) => sum + each, delivered + deadLettered);
    return { accepted: this.accepted, delivered, dropped, deadLettered, pending: this.accepted - gone };
  }
}
