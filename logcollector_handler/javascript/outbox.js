/**
 * The outbox: the batches that are not settled, in order and within bounds; what became of the others, counted; and who
 * waits for them. With a store, a batch is in there before its first attempt, and leaves when it is settled.
 */

/** Bytes of the batches that wait in memory. */
const MAX_BUFFER = 64 << 20;

/**
 * @typedef {import("./batch.js").Batch} Batch
 * @typedef {import("./platform.js").Platform} Platform
 * @typedef {import("./platform.js").Store} Store
 * @typedef {import("./platform.js").Counts} Counts
 */

export class Outbox {
  /** @param {Platform} platform */
  constructor(platform) {
    this.platform = platform;
    /** @type {Batch[]} */
    this.batches = [];
    /** @type {Counts} */
    this.counts = { delivered: 0, deadLettered: 0, dropped: {} };
    /** Losses that no batch tells yet. @type {Record<string, number>} */
    this.losses = {};
    /** Kinds of trouble that people were told of since it began. @type {Set<string>} */
    this.said = new Set();
    /** @type {Set<{ordinal: number, done: (delivered: boolean) => void}>} */
    this.waiting = new Set();
  }

  /** @param {Batch} batch */
  put(batch) {
    this.batches.push(batch);
    batch.ready = this.prepare(batch);
    // The oldest go that are not in flight, while all take too much memory. What an earlier process left is in a store.
    let size = this.batches.reduce((sum, each) => sum + each.size, 0);
    for (const each of [...this.batches]) {
      if (size <= MAX_BUFFER) return;
      if (each.isInFlight || each.adopted) continue;
      size -= each.size;
      this.drop(each, "buffer_full");
    }
  }

  /** Make the bytes of a batch and store it. Where the platform does both at once, so does this. @param {Batch} batch */
  async prepare(batch) {
    const text = batch.text ?? "";
    if (batch.compressed) {
      try {
        const packed = this.platform.pack(text);
        batch.bytes = packed instanceof Uint8Array ? packed : await packed;
      } catch {
        batch.compressed = false;
      }
    }
    batch.bytes ??= new TextEncoder().encode(text);
    batch.text = undefined;
    batch.size = batch.bytes.length;
    if (batch.place !== "gone") await this.store("put", batch);
  }

  /** The body of a batch that is prepared, as text. @param {Batch} batch @returns {Promise<string>} */
  async text({ bytes = new Uint8Array(), compressed }) {
    return compressed ? this.platform.unpack(bytes) : new TextDecoder().decode(bytes);
  }

  /** @param {keyof Store} deed @param {Batch} batch */
  async store(deed, batch) {
    try {
      await this.platform.store?.[deed]?.(batch);
    } catch (error) {
      this.say("store", `a batch could not be kept outside of the memory: ${error}`);
    }
  }

  /** Count records that were lost. @param {string} reason @param {number} count */
  lose(reason, count) {
    if (!count) return;
    const { dropped } = this.counts;
    dropped[reason] = (dropped[reason] ?? 0) + count;
    this.losses[reason] = (this.losses[reason] ?? 0) + count;
    this.platform.changed?.(this.counts);
  }

  /** The losses that no batch tells yet, which one tells from now on; undefined if there are none. */
  takeLosses() {
    const { losses } = this;
    this.losses = {};
    return Object.keys(losses).length ? losses : undefined;
  }

  /** @param {Batch} batch @param {string} reason */
  drop(batch, reason) {
    this.remove(batch);
    for (const [why, count] of Object.entries(batch.losses ?? {})) this.losses[why] = (this.losses[why] ?? 0) + count;
    if (!batch.adopted) this.lose(reason, batch.count);
  }

  /** A batch is settled, or these are in its place. @param {Batch} batch @param {Batch[]} [successors] */
  remove(batch, successors = []) {
    const at = this.batches.indexOf(batch);
    if (at >= 0) this.batches.splice(at, 1, ...successors);
    batch.place = "gone";
    void this.store("remove", batch);
    this.platform.changed?.(this.counts);
    this.answer();
  }

  /**
   * True when all batches up to that record are delivered or dead-lettered, false after that many milliseconds.
   *
   * @param {number} ordinal
   * @param {number} milliseconds
   * @returns {Promise<boolean>}
   */
  settled(ordinal, milliseconds) {
    const dropped = this.dropped;
    return new Promise((resolve) => {
      const one = {
        ordinal,
        done: (/** @type {boolean} */ isDone) => {
          this.waiting.delete(one);
          stop();
          resolve(isDone && this.dropped === dropped);
        },
      };
      const stop = this.platform.timer(() => one.done(false), milliseconds);
      this.waiting.add(one);
      this.answer();
    });
  }

  /** Tell those who wait for nothing more. */
  answer() {
    // Of what an earlier process left, nobody waits.
    const oldest = this.batches.reduce((least, each) => Math.min(least, each.ordinal || Infinity), Infinity);
    for (const each of [...this.waiting]) if (oldest > each.ordinal) each.done(true);
  }

  /** How many records were dropped. */
  get dropped() {
    return Object.values(this.counts.dropped).reduce((sum, each) => sum + each, 0);
  }

  /** Tell people of a kind of trouble, once until it is over. @param {string} kind @param {string} text */
  say(kind, text) {
    if (this.said.has(kind)) return;
    this.said.add(kind);
    this.platform.say(text);
  }
}
