/**
 * What the worker does, or the page itself where it can make no worker: snapshots -> entries -> batches in IndexedDB ->
 * requests. A batch is kept before it is sent, and removed when it is settled; what a page left behind is sent by the
 * next one.
 *
 * The page draws the ids of batches and closes them. So a batch that both hold has one key, and is stored once.
 */
import { OWNER_LENGTH, makeBatch, storedBatch } from "./batch.js";
import { Delivery } from "./delivery.js";
import { entryMaker, lossLine } from "./entry.js";
import { masking } from "./patterns.js";
import { redactor } from "./redact.js";
import { readSettings } from "./settings.js";
import { frames } from "./stack.js";
import { openStore } from "./store.js";

/** A compressed batch of so many characters is a quarter of its size. */
const COMPRESS_FROM = 1024;
/** Milliseconds before the first look for batches of pages that have ended, and the most between two. */
const LOOK_FIRST = 1000;
const LOOK_RARELY = 30_000;

/**
 * @typedef {object} Start
 * @property {"start"} kind
 * @property {string} serverUrl
 * @property {import("./settings.js").LogClientOptions} options
 * @property {string} base the URL of the page
 * @property {string} owner
 *
 * @typedef {object} Closed a batch
 * @property {"batch"} kind
 * @property {string} id
 * @property {string[]} lines snapshots
 * @property {Record<string, number>} [losses] what its first entry tells
 * @property {number} time Unix seconds
 * @property {import("./entry.js").Common} [common] of the visit that left it behind
 *
 * @typedef {Start | Closed
 *   | {kind: "flush", number: number, milliseconds: number}
 *   | {kind: "leftover", id: string, text: string | undefined}
 *   | {kind: "delivered", id: string}
 *   | {kind: "online"}
 * } ToSending
 *
 * @typedef {{kind: "ready", common: import("./entry.js").Common}
 *   | {kind: "wrong", text: string}
 *   | {kind: "stored", id: string, url: string, size: number, request: RequestInit}
 *   | {kind: "gone", id: string}
 *   | {kind: "flushed", number: number, done: boolean}
 *   | {kind: "counts", counts: import("./platform.js").Counts}
 *   | {kind: "say", text: string}
 * } ToPage
 *
 * @typedef {{postMessage: (message: any) => void, onmessage: ((event: MessageEvent) => any) | null}} Port
 */

/** Send what comes through a port. @param {Port} port */
export function startSending(port) {
  /** @type {Sending | undefined} */
  let sending;
  port.onmessage = ({ data }) => {
    const message = /** @type {ToSending} */ (data);
    if (message.kind !== "start") sending?.take(message);
    else {
      try {
        sending = new Sending(message, (answer) => port.postMessage(answer));
      } catch (error) {
        port.postMessage({ kind: "wrong", text: String(/** @type {any} */ (error)?.message ?? error) });
      }
    }
  };
}

class Sending {
  /** @param {Start} start @param {(message: ToPage) => void} tell */
  constructor({ serverUrl, options, base, owner }, tell) {
    const settings = readSettings(serverUrl, options, { logType: "FRONTEND", base });
    if (new URL(settings.url).origin === new URL(base).origin) {
      // The server that the page came from knows these better than the defaults do.
      if (!options.environment) delete settings.common.environment;
      if (!options.serviceVersion) delete settings.common.serviceVersion;
    }
    this.settings = settings;
    this.tell = tell;
    this.owner = owner;
    this.redact = redactor(settings.redact);
    this.mask = masking(settings.redactPatterns);
    this.store = openStore(settings.url);
    this.delivery = new Delivery({ ...settings, maxRetries: 3 }, this.platform(settings));
    tell({ kind: "ready", common: settings.common });
    // An origin that may keep nothing has no locks either.
    this.adopt().catch((error) => this.delivery.outbox.say("store", `nothing of earlier visits can be sent: ${error}`));
  }

  /** @param {Exclude<ToSending, Start>} message */
  take(message) {
    const { delivery } = this;
    if (message.kind === "batch") this.add(message);
    if (message.kind === "leftover") this.takeLeftover(message.id, message.text);
    if (message.kind === "online") void delivery.flush(0);
    if (message.kind === "flush") {
      void delivery.flush(message.milliseconds).then((done) => this.tell({ kind: "flushed", number: message.number, done }));
    }
    if (message.kind === "delivered") {
      const batch = delivery.outbox.batches.find((each) => each.id === message.id);
      // One in flight is settled by its own answer.
      if (batch && !batch.isInFlight) delivery.settlement.deliver(batch, { detail: "" });
    }
  }

  /** @param {Closed} closed */
  add({ id, lines, losses, time, common }) {
    const { delivery, settings } = this;
    if (delivery.outbox.batches.some((each) => each.id === id)) return;
    const maker = entryMaker(common ?? settings.common, this.redact, this.mask);
    // Nothing in the body depends on when and where it is made: the same batch always has the same one.
    const entries = lines.map((line) => entryOf(line, maker, this.redact));
    if (losses) entries.unshift(maker.loss(losses, time));
    if (!common) delivery.ordinal += lines.length;
    const batch = makeBatch(id, entries, { compress: true, ordinal: common ? 0 : delivery.ordinal, losses, adopted: !!common });
    batch.compressed = settings.enableCompression && delivery.settlement.compressing && batch.size >= COMPRESS_FROM;
    delivery.outbox.put(batch);
    this.tellLosses(`${id}.lost`);
    delivery.go();
  }

  /** A batch of an earlier visit, as localStorage had it. @param {string} id @param {string | undefined} text */
  takeLeftover(id, text) {
    // Another page has removed it, so that has it.
    if (text === undefined) return;
    try {
      this.add({ common: this.settings.common, ...JSON.parse(text), id });
    } catch (error) {
      this.delivery.outbox.say("leftover", `what an earlier visit left behind is damaged, and lost: ${error}`);
      // It stays damaged, and is of no use to later visits.
      this.tell({ kind: "gone", id });
    }
  }

  /** Tell the server what was lost on this side, in a batch of its own: that of the page always has the same body. @param {string} id */
  tellLosses(id) {
    const { delivery, settings } = this;
    const losses = delivery.outbox.takeLosses();
    if (!losses) return;
    const lines = [lossLine(settings.common, losses, Date.now() / 1000)];
    delivery.outbox.put(makeBatch(id, lines, { compress: false, ordinal: delivery.ordinal, losses }));
  }

  /** Send what other pages left behind: one page at a time does, for as long as it lives. */
  async adopt() {
    const locks = globalThis.navigator?.locks;
    // Pages without encryption have no locks. There several may send a batch, and its key says that it is the same.
    if (!locks) return this.look(() => false);
    // Held as long as the page lives: others leave its batches alone.
    const hold = () => new Promise(() => {});
    void locks.request(`logcollector ${this.owner}`, hold);
    // The page before this one may just be writing down what it has. It is kept for a return and has that lock, and the
    // browser ends it when another wants the lock.
    await sleep(LOOK_FIRST);
    await locks.request(`logcollector replay ${this.settings.url}`, async () => {
      for (let wait = LOOK_FIRST; ; wait = Math.min(wait * 2, LOOK_RARELY)) {
        const held = new Set((await locks.query()).held?.map(({ name }) => name));
        await this.look((owner) => held.has(`logcollector ${owner}`));
        await sleep(wait);
      }
    });
  }

  /** @param {(owner: string) => boolean} lives */
  async look(lives) {
    try {
      const here = new Set(this.delivery.outbox.batches.map(({ id }) => id));
      const left = (await this.store.all()).filter(({ id }) => {
        const owner = id.slice(0, OWNER_LENGTH);
        return owner !== this.owner && !lives(owner) && !here.has(id);
      });
      const kept = await this.store.bounded(left);
      const lost = count(left) - count(kept);
      // Not among the counts, which are of this page.
      if (lost) this.delivery.outbox.losses["the browser keeps no more"] = lost;
      this.delivery.adopt(kept.map(({ id, bytes, compressed, entries }) => storedBatch(id, bytes, compressed, entries)));
    } catch (error) {
      this.delivery.outbox.say("store", `what earlier visits left behind could not be read: ${error}`);
    }
  }

  /** @param {import("./settings.js").Settings} settings @returns {import("./platform.js").Platform} */
  platform(settings) {
    return {
      post: (batch, milliseconds) => post(settings, batch, milliseconds),
      pack: (text) => through(new TextEncoder().encode(text), new CompressionStream("gzip")),
      unpack: async (bytes) => new TextDecoder().decode(await through(bytes, new DecompressionStream("gzip"))),
      timer: (run, milliseconds) => {
        const timer = setTimeout(run, Math.min(milliseconds, 2 ** 31 - 1));
        return () => clearTimeout(timer);
      },
      now: () => performance.now(),
      time: () => Date.now(),
      random: () => Math.random(),
      say: (text) => this.tell({ kind: "say", text }),
      loss: (losses, seconds) => lossLine(settings.common, losses, seconds),
      store: {
        put: async (batch) => {
          const { id, bytes = new Uint8Array(), compressed, entries } = batch;
          await this.store.put({ id, bytes, compressed, entries });
          const request = { ...requestOf(settings, batch), keepalive: true };
          this.tell({ kind: "stored", id, url: settings.url, size: bytes.length, request });
          // It was settled meanwhile, and its removal came too early.
          if (batch.place === "gone") await this.store.remove(id);
        },
        remove: async ({ id }) => {
          this.tell({ kind: "gone", id });
          await this.store.remove(id);
        },
      },
      changed: (counts) => this.tell({ kind: "counts", counts }),
    };
  }
}

/** @param {{entries: number}[]} batches */
const count = (batches) => batches.reduce((sum, each) => sum + each.entries, 0);

/** @param {number} milliseconds */
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * The entry of a snapshot.
 *
 * @param {string} line
 * @param {import("./entry.js").EntryMaker} maker
 * @param {import("./entry.js").Redactor} redact
 */
export function entryOf(line, maker, redact) {
  const { thrown, ...call } = /** @type {import("./page.js").Snapshot} */ (JSON.parse(line));
  if (!thrown) return maker.line(call);
  const fields = /** @type {any} */ (call.fields);
  // As fields of the call, which win over those of the context.
  const told = { error_type: thrown.type, stack_trace: redact.text(thrown.trace) };
  return maker.line({ ...call, fields: { ...told, ...fields }, caller: frames(thrown.trace)[0], thrown: thrown.value });
}

/** @param {Uint8Array} bytes @param {CompressionStream | DecompressionStream} stream */
async function through(bytes, stream) {
  const piped = new Blob([/** @type {BlobPart} */ (bytes)]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(piped).arrayBuffer());
}

/**
 * The request that posts a batch, from the worker or from the page.
 *
 * @param {import("./settings.js").Settings} settings
 * @param {import("./batch.js").Batch} batch
 * @returns {RequestInit}
 */
export const requestOf = ({ headers }, { id, bytes, compressed }) => ({
  method: "POST",
  body: /** @type {BodyInit} */ (bytes),
  headers: {
    ...headers,
    "Content-Type": "application/json",
    "Idempotency-Key": id,
    ...(compressed && { "Content-Encoding": "gzip" }),
  },
  // What it leads to may answer 200 to anything.
  redirect: "manual",
});

/**
 * @param {import("./settings.js").Settings} settings
 * @param {import("./batch.js").Batch} batch
 * @param {number} milliseconds
 * @returns {Promise<import("./answers.js").Answer>}
 */
async function post(settings, batch, milliseconds) {
  try {
    const answer = await fetch(settings.url, { ...requestOf(settings, batch), signal: AbortSignal.timeout(milliseconds) });
    const status = answer.type === "opaqueredirect" ? 302 : answer.status;
    const text = (await answer.text()).slice(0, 4096);
    const type = answer.headers.get("content-type") ?? "";
    return { status, type, text, retryAfter: answer.headers.get("retry-after"), detail: `HTTP ${status}`, arrived: true };
  } catch (error) {
    const { name } = /** @type {Error} */ (error);
    // A browser does not say whether the server got it.
    return { detail: name === "TimeoutError" ? "no answer in time" : "no connection", arrived: true };
  }
}
