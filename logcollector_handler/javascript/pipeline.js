/**
 * The page's end of the way to the server: it gathers snapshots into batches, hands these to the worker, and sees to it
 * that nothing is lost when the page is left.
 *
 * A batch is here until the worker has it in IndexedDB. When the page is left, what is not there goes into localStorage,
 * which takes it at once; what is there and not settled goes out with `keepalive`; the next visit sends the rest.
 */
import { OWNER_LENGTH, batchIds } from "./batch.js";

/** Browsers let requests that outlive their page hold 64 KiB together, and their own are among these. */
const KEEPALIVE_BYTES = 60_000;
const KEEPALIVE_REQUESTS = 9;

/** Characters at which a batch is closed, whatever its number of records. */
const MAX_LENGTH = 1 << 20;

/** @typedef {import("./sending.js").ToPage} ToPage */
/** @typedef {import("./sending.js").ToSending} ToSending */
/** @typedef {Omit<import("./sending.js").Closed, "kind" | "id" | "common">} Open a batch that is not in IndexedDB */
/** @typedef {Extract<ToPage, {kind: "stored"}>} Stored a batch in IndexedDB, and the request that sends it */
/** @typedef {{postMessage: (message: any) => void, onmessage: any}} Port */

export class Pipeline {
  /** Where to, as the page says it. @type {string} */
  #url;
  /** @type {import("./settings.js").LogClientOptions} */
  #options;
  /** @type {{batchSize: number, flushInterval: number, maxQueueSize: number}} */
  #settings;
  #draw = batchIds(Date.now());
  /** Snapshots that are in no batch yet. @type {string[]} */
  #lines = [];
  /** Characters of those. */
  #length = 0;
  /** Batches of this page that are not in IndexedDB yet, and the records in those. @type {Map<string, Open>} */
  #open = new Map();
  #waiting = 0;
  /** Batches in IndexedDB that a keepalive request could send. @type {Map<string, Stored>} */
  #stored = new Map();
  /** Bytes and number of the keepalive requests under way. */
  #bytes = 0;
  #requests = 0;
  #accepted = 0;
  /** Records that found the queue full. */
  #full = 0;
  /** Those of them that no batch tells yet. */
  #untold = 0;
  /** @type {import("./platform.js").Counts} */
  #counts = { delivered: 0, deadLettered: 0, dropped: {} };
  /** Those that wait. @type {Map<number, {milliseconds: number, resolve: (done: boolean) => void}>} */
  #flushes = new Map();
  #number = 0;
  /** What the other end made of the options. @type {Extract<ToPage, {kind: "ready"}> | undefined} */
  #ready;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isSoon = false;
  #isWrong = false;
  /** @type {Port} */
  #port;

  /**
   * @param {string} url
   * @param {import("./settings.js").LogClientOptions} options
   * @param {{batchSize: number, flushInterval: number, maxQueueSize: number}} settings
   */
  constructor(url, options, settings) {
    this.#url = url;
    this.#options = options;
    this.#settings = settings;
    this.#port = this.#start();
    const leave = () => this.#leave();
    addEventListener("pagehide", leave);
    document.addEventListener("visibilitychange", () => document.hidden && leave());
    addEventListener("online", () => this.#post({ kind: "online" }));
  }

  /** @returns {Port} */
  #start() {
    try {
      const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
      worker.onerror = (event) => {
        // A policy of the page forbids workers, or its file is missing.
        if (this.#ready) return;
        event.preventDefault();
        worker.onerror = null;
        this.#port = this.#startHere();
      };
      return this.#connected(worker);
    } catch {
      // Trusted Types refuse every URL, and workers of another origin are refused, too.
      return this.#startHere();
    }
  }

  /** Do the worker's part in the page. @returns {Port} */
  #startHere() {
    const { port1, port2 } = new MessageChannel();
    import("./sending.js").then(({ startSending }) => startSending(port2), (error) => this.#complain(error));
    return this.#connected(port1);
  }

  /** @template {Port} T @param {T} port */
  #connected(port) {
    port.onmessage = (/** @type {MessageEvent} */ { data }) => this.#hear(data);
    const owner = this.#draw().slice(0, OWNER_LENGTH);
    port.postMessage({ kind: "start", serverUrl: this.#url, options: this.#options, base: location.href, owner });
    // What a worker that did not start was given.
    for (const [id, batch] of this.#open) port.postMessage({ kind: "batch", id, ...batch });
    for (const [number, { milliseconds }] of this.#flushes) port.postMessage({ kind: "flush", number, milliseconds });
    return port;
  }

  /** @param {ToSending} message */
  #post(message) {
    this.#port.postMessage(message);
  }

  /** @param {unknown} reason */
  #complain(reason) {
    console.warn(`logcollector-handler: ${reason}`);
  }

  /** @param {string} line @param {boolean} urgent */
  send(line, urgent) {
    if (this.#isWrong) return;
    this.#accepted++;
    this.#lines.push(line);
    this.#length += line.length;
    if (this.#waiting + this.#lines.length > this.#settings.maxQueueSize) {
      this.#lines.shift();
      this.#full++;
      this.#untold++;
    }
    if (this.#lines.length >= this.#settings.batchSize || this.#length > MAX_LENGTH) this.#cut();
    else if (!this.#timer || (urgent && !this.#isSoon)) {
      clearTimeout(this.#timer);
      this.#isSoon = urgent;
      // Those behind an urgent one are gathered for a moment, so that a storm is no request for each.
      this.#timer = setTimeout(() => this.#cut(), urgent ? 50 : this.#settings.flushInterval);
    }
  }

  /** Close the lines that are here into a batch. */
  #cut() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const lines = this.#lines;
    const untold = this.#untold;
    if (!lines.length) return;
    this.#lines = [];
    this.#length = this.#untold = 0;
    this.#waiting += lines.length;
    this.#hand(this.#draw(), { lines, losses: untold ? { queue_full: untold } : undefined, time: Date.now() / 1000 });
  }

  /** @param {string} id @param {Open} batch */
  #hand(id, batch) {
    this.#open.set(id, batch);
    this.#post({ kind: "batch", id, ...batch });
  }

  /** @param {ToPage} message */
  #hear(message) {
    switch (message.kind) {
      case "ready":
        this.#ready = message;
        return this.#sendLeftovers();
      case "stored":
        return this.#keep(message);
      case "gone":
        this.#stored.delete(message.id);
        return this.#forget(message.id);
      case "flushed":
        return this.#flushes.get(message.number)?.resolve(message.done);
      case "counts":
        this.#counts = message.counts;
        return;
      case "wrong":
        this.#isWrong = true;
      // It is said, too.
      case "say":
        this.#complain(message.text);
    }
  }

  /** A batch is in IndexedDB. @param {Stored} batch */
  #keep(batch) {
    this.#forget(batch.id);
    let room = KEEPALIVE_BYTES - batch.size;
    for (const each of this.#stored.values()) room -= each.size;
    if (room >= 0 && this.#stored.size < KEEPALIVE_REQUESTS) this.#stored.set(batch.id, batch);
  }

  /** It is in IndexedDB, settled or damaged, so the page need not have it. @param {string} id */
  #forget(id) {
    this.#waiting -= this.#open.get(id)?.lines.length ?? 0;
    this.#open.delete(id);
    try {
      localStorage.removeItem(this.#key(id));
    } catch {
      // It may store nothing.
    }
  }

  /** @param {string} id */
  #key(id) {
    return `logcollector ${this.#url} ${id}`;
  }

  /** The page is left, and may not come back. */
  #leave() {
    this.#cut();
    try {
      for (const [id, batch] of this.#open) {
        localStorage.setItem(this.#key(id), JSON.stringify({ ...batch, common: this.#ready?.common }));
      }
    } catch {
      // It may store nothing, or not as much.
    }
    for (const batch of this.#stored.values()) {
      if (this.#requests < KEEPALIVE_REQUESTS && this.#bytes + batch.size <= KEEPALIVE_BYTES) {
        this.#stored.delete(batch.id);
        void this.#sendLast(batch);
      }
    }
  }

  /** @param {Stored} batch */
  async #sendLast({ id, url, size, request }) {
    this.#requests++;
    this.#bytes += size;
    try {
      const answer = await fetch(url, request);
      if (answer.ok && /json/.test(answer.headers.get("content-type") ?? "")) this.#post({ kind: "delivered", id });
    } catch {
      // It is in IndexedDB.
    }
    this.#requests--;
    this.#bytes -= size;
  }

  /** Hand over what was not in IndexedDB when an earlier page was left. */
  #sendLeftovers() {
    try {
      for (const key of Object.keys(localStorage)) {
        const id = key.slice(this.#key("").length);
        if (key === this.#key(id) && !this.#open.has(id)) this.#post({ kind: "leftover", id, text: localStorage[key] });
      }
    } catch {
      // It may store nothing.
    }
  }

  /** @param {number} milliseconds @returns {Promise<boolean>} */
  async flush(milliseconds) {
    this.#cut();
    const full = this.#full;
    const number = ++this.#number;
    /** @type {boolean} */
    const done = await new Promise((resolve) => {
      this.#flushes.set(number, { milliseconds, resolve });
      setTimeout(() => resolve(false), milliseconds);
      this.#post({ kind: "flush", number, milliseconds });
    });
    this.#flushes.delete(number);
    return done && full === this.#full;
  }

  /** The worker stays, for records that may follow. @param {number} milliseconds */
  close(milliseconds) {
    return this.flush(milliseconds);
  }

  stats() {
    const full = this.#full;
    const { delivered, deadLettered, dropped } = this.#counts;
    const lost = Object.values(dropped).reduce((sum, each) => sum + each, full);
    const pending = this.#accepted - delivered - deadLettered - lost;
    return { accepted: this.#accepted, delivered, deadLettered, dropped: full ? { ...dropped, queue_full: full } : dropped, pending };
  }
}
