/**
 * Delivery: encoded entries -> batches -> requests -> settled, one request at a time. As Python's `delivery` does it, of
 * no platform: `platform.js` says what it is given.
 *
 *     add      entries gather, and are closed into a batch
 *     choose   `suspects` says which batch is next
 *     post     the platform makes the request
 *     settle   `settlement` does what follows from the answer
 */
import { batchIds, makeBatch } from "./batch.js";
import { Outbox } from "./outbox.js";
import { Settlement } from "./settlement.js";
import { Suspects } from "./suspects.js";

/** A body of about this many characters is closed. */
const MAX_BATCH_LENGTH = 4 << 20;
/** The longest time for which urgent entries are gathered behind the first one. */
const GATHER = 200;

export class Delivery {
  /**
   * @param {import("./platform.js").Options} options
   * @param {import("./platform.js").Platform} platform
   */
  constructor(options, platform) {
    this.options = options;
    this.platform = platform;
    this.suspects = new Suspects(options.maxRetries);
    this.outbox = new Outbox(platform);
    this.settlement = new Settlement(options, platform, this.outbox, this.suspects);
    this.draw = batchIds(platform.time());
    /** Entries that are in no batch yet. @type {string[]} */
    this.lines = [];
    this.length = 0;
    /** How many records are in batches, or were. */
    this.ordinal = 0;
    /** When the oldest of the entries came, and whether one of them is urgent. @type {number | undefined} */
    this.since = undefined;
    this.isUrgent = false;
    this.urgentTaken = -Infinity;
    this.requestTime = 0;
    this.isStopped = false;
    this.isRunning = false;
    /** Something happened since the last step began. */
    this.again = false;
    /** Ends the present rest. */
    this.wake = () => {};
  }

  /**
   * Take entries.
   *
   * @param {string[]} lines
   * @param {boolean} [urgent] do not wait until the batch is full or old enough
   */
  add(lines, urgent) {
    for (const line of lines) {
      if (this.length + line.length > MAX_BATCH_LENGTH) this.close();
      this.lines.push(line);
      this.length += line.length + 1;
      if (this.lines.length >= this.settlement.most) this.close();
    }
    if (this.lines.length) {
      this.since ??= this.platform.now();
      this.isUrgent ||= !!urgent;
    }
    this.go();
  }

  /** Count records that were lost before they came here; the next batch tells the server. @param {string} reason @param {number} count */
  lose(reason, count) {
    this.outbox.lose(reason, count);
  }

  /** Send batches that an earlier process or visit left behind. @param {import("./batch.js").Batch[]} batches */
  adopt(batches) {
    this.outbox.batches.unshift(...batches);
    this.go();
  }

  /**
   * True when everything that was taken before is delivered or dead-lettered, false after that many milliseconds.
   *
   * @param {number} milliseconds
   */
  flush(milliseconds) {
    this.close();
    if (!this.settlement.isFirm) this.settlement.hold = -Infinity;
    const settled = this.outbox.settled(this.ordinal, milliseconds);
    this.go();
    return settled;
  }

  /** The process ends: for that many milliseconds try again after short waits. @param {number} milliseconds */
  hasten(milliseconds) {
    const now = this.platform.now();
    const { settlement } = this;
    this.close();
    this.suspects.hasten(now + milliseconds, now);
    // A rest that the server asked for is kept if it is over before.
    if (!settlement.isFirm || settlement.hold >= now + milliseconds) settlement.hold = -Infinity;
    this.go();
  }

  /** The process ends, and the settings are wrong: nothing can be sent before it does. */
  get isHopeless() {
    return this.suspects.isHopeless && this.platform.now() < this.suspects.end;
  }

  /** Send nothing more. */
  stop() {
    this.isStopped = true;
    this.wake();
  }

  /** Close the entries that are here into a batch. */
  close() {
    const lines = this.lines.splice(0);
    if (this.isUrgent) this.urgentTaken = this.platform.now();
    this.isUrgent = false;
    this.since = undefined;
    this.length = 0;
    if (!lines.length) return;
    this.ordinal += lines.length;
    const losses = this.outbox.takeLosses();
    if (losses) lines.unshift(this.platform.loss(losses, this.platform.time() / 1000));
    const compress = this.settlement.compressing;
    this.outbox.put(makeBatch(this.draw(), lines, { compress, ordinal: this.ordinal, losses }));
  }

  /** Go on, if there is something to do. */
  go() {
    this.again = true;
    this.wake();
    if (this.isRunning || this.isStopped) return;
    this.isRunning = true;
    void this.run();
  }

  async run() {
    while (!this.isStopped) {
      this.again = false;
      let wait;
      try {
        wait = await this.step();
      } catch (error) {
        this.outbox.say("internal", `sending failed on an error of its own: ${/** @type {any} */ (error)?.stack ?? error}`);
        wait = 1000;
      }
      if (this.again) continue;
      if (wait === Infinity) break;
      if (wait > 0) await this.rest(wait);
    }
    this.isRunning = false;
  }

  /** @param {number} milliseconds @returns {Promise<void>} */
  rest(milliseconds) {
    return new Promise((resolve) => {
      this.wake = () => {
        stop();
        this.wake = () => {};
        resolve();
      };
      const stop = this.platform.timer(() => this.wake(), milliseconds);
    });
  }

  /** Do the next thing that is due, at most one request. Returns milliseconds until something may be due. */
  async step() {
    const now = this.platform.now();
    const ahead = this.outbox.batches.find((each) => each.place === "order");
    // A small batch would only wait behind that one, so it goes on filling; but in a store it is safer.
    const due = ahead && !this.platform.store ? Infinity : this.dueAt() - now;
    if (due <= 0) {
      this.close();
      return 0;
    }
    if (now < this.settlement.hold && !this.isHopeless) return Math.min(this.settlement.hold - now, due);
    const batch = this.suspects.choose(ahead, now);
    if (batch) {
      await this.attempt(batch);
      return 0;
    }
    const refused = this.suspects.giveUpRefused();
    for (const [each, reason] of refused) await this.settlement.bury(each, reason);
    return refused.length ? 0 : Math.min(due, this.suspects.dueIn(now));
  }

  /** When the entries that are here make a batch. */
  dueAt() {
    if (this.since === undefined) return Infinity;
    const old = this.since + this.options.flushInterval;
    return this.isUrgent ? Math.min(old, this.urgentTaken + Math.min(this.requestTime, GATHER)) : old;
  }

  /** @param {import("./batch.js").Batch} batch */
  async attempt(batch) {
    await batch.ready;
    if (batch.place === "gone") {
      this.suspects.forget(batch);
      return;
    }
    const start = this.platform.now();
    const left = start < this.suspects.end ? this.suspects.end - start : Infinity;
    batch.isInFlight = true;
    const answer = await this.platform.post(batch, Math.min(this.options.timeout, left));
    this.requestTime = this.platform.now() - start;
    batch.isInFlight = false;
    // Stopped: whoever did that keeps what is left.
    if (!this.isStopped) await this.settlement.settle(batch, answer);
  }
}
