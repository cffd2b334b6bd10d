/**
 * A world for the delivery in which no time passes by itself: a clock, timers, a store, and a server that answers as a
 * test says. What belongs here: nothing that knows what is right.
 */
import { webcrypto } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";

import { split } from "../../logcollector_handler/javascript/batch.js";
import { Delivery } from "../../logcollector_handler/javascript/delivery.js";

// Node 18 has no global one; there the client's worker does the same.
globalThis.crypto ??= webcrypto;

export const OPTIONS = {
  server: "http://server", batchSize: 10, flushInterval: 1000, enableCompression: true, timeout: 5000, maxRetries: 3,
};

/** One request as the server got it. */
export class World {
  /** @param {(request: any) => any} answer what the server says; a number is a status */
  constructor(answer = () => 200, options = {}, store = undefined) {
    this.milliseconds = 0;
    this.timers = new Set();
    this.requests = [];
    this.stored = new Map();
    this.said = [];
    this.answer = answer;
    this.delivery = new Delivery({ ...OPTIONS, ...options }, {
      post: (batch, milliseconds) => this.post(batch, milliseconds),
      pack: (text) => gzipSync(text),
      unpack: (bytes) => gunzipSync(bytes).toString(),
      timer: (run, milliseconds) => this.timer(run, milliseconds),
      now: () => this.milliseconds,
      time: () => 1_700_000_000_000 + this.milliseconds,
      random: () => 0.5,
      say: (text) => this.said.push(text),
      loss: (losses) => JSON.stringify({ level: "WARN", message: "lost", losses }),
      store,
    });
  }

  async post(batch, milliseconds) {
    const request = { id: batch.id, compressed: batch.compressed, at: this.milliseconds, milliseconds, entries: this.entries(batch) };
    this.requests.push(request);
    let answer = await this.answer(request, this.requests.length);
    if (typeof answer === "number") answer = { status: answer };
    if (answer.store ?? (answer.status >= 200 && answer.status < 300)) {
      if (!this.stored.has(batch.id)) this.stored.set(batch.id, request.entries);
    }
    return { detail: `it answered ${answer.status}`, arrived: true, ...answer };
  }

  /** The entries in a batch. */
  entries({ bytes, compressed }) {
    const text = compressed ? gunzipSync(bytes).toString() : Buffer.from(bytes).toString();
    return split(text).map((each) => JSON.parse(each));
  }

  timer(run, milliseconds) {
    const timer = { at: this.milliseconds + milliseconds, run };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  /** What the server has stored, as messages. */
  get messages() {
    return [...this.stored.values()].flat().map((entry) => entry.message);
  }

  /** Let so many milliseconds pass. */
  async pass(milliseconds) {
    const end = this.milliseconds + milliseconds;
    for (;;) {
      await quiet();
      const next = [...this.timers].sort((one, other) => one.at - other.at)[0];
      if (!next || next.at > end) break;
      this.timers.delete(next);
      this.milliseconds = Math.max(this.milliseconds, next.at);
      next.run();
    }
    this.milliseconds = Math.max(this.milliseconds, end);
  }

  log(...messages) {
    this.delivery.add(messages.map((message) => JSON.stringify({ level: "INFO", message })));
  }
}

/** Wait until all that can go on without time has. */
export async function quiet() {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** The messages from one number to another. */
export const numbered = (count, first = 0) => Array.from({ length: count }, (_, index) => `record ${first + index}`);
