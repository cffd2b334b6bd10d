/**
 * What is done once a request has ended: its batch is counted and removed, or written anew, and people are told.
 * `answers` says what the answer means, `suspects` what follows from it.
 */
import { advice, classify, isLost, retryAfter, taken } from "./answers.js";
import { makeBatch, split } from "./batch.js";

/** After this many requests that went well, batches may be twice as large again. */
const WELL_ENOUGH = 10;

/**
 * @typedef {import("./batch.js").Batch} Batch
 * @typedef {import("./answers.js").Answer} Answer
 * @typedef {import("./suspects.js").Ruling} Ruling
 */

export class Settlement {
  /**
   * @param {import("./platform.js").Options} options
   * @param {import("./platform.js").Platform} platform
   * @param {import("./outbox.js").Outbox} outbox
   * @param {import("./suspects.js").Suspects} suspects
   */
  constructor(options, platform, outbox, suspects) {
    this.options = options;
    this.platform = platform;
    this.outbox = outbox;
    this.suspects = suspects;
    /** Compressed bodies are wanted, and the server has not refused one for that. */
    this.compressing = options.enableCompression;
    /** The most entries of a batch: less than the settings allow while the line is slow. */
    this.most = options.batchSize;
    this.wentWell = 0;
    /** Until when nothing is sent; a flush does not shorten a firm hold. */
    this.hold = -Infinity;
    this.isFirm = false;
  }

  /** Do what follows from an answer. @param {Batch} batch @param {Answer} answer */
  async settle(batch, answer) {
    const now = this.platform.now();
    const verdict = classify(answer, batch.compressed);
    const lost = isLost(answer);
    if (lost) await this.outbox.store("noteLost", batch);
    const asked = retryAfter(answer.retryAfter, this.platform.time());
    const chance = this.platform.random();
    const ruling = this.suspects.ended(batch, verdict, { now, chance, detail: answer.detail, lost, asked });
    this.isFirm = !!ruling.firm;
    this.hold = ruling.rest ? now + ruling.rest : -Infinity;
    if (verdict === "delivered") this.deliver(batch, answer);
    if (verdict === "unsupported encoding") {
      this.compressing = false;
      await this.replace(batch, verdict);
    }
    this.tell(answer, ruling, verdict);
    for (const [each, reason] of ruling.bury ?? []) await this.bury(each, reason);
    for (const each of ruling.split ?? []) await this.replace(each, verdict);
  }

  /** @param {Batch} batch @param {Answer} answer */
  deliver(batch, answer) {
    const { options, outbox } = this;
    if (!batch.adopted) outbox.counts.delivered += batch.count;
    // A wrong count is no trouble that passes.
    for (const kind of [...outbox.said]) if (kind !== "count") outbox.said.delete(kind);
    const count = taken(answer);
    if (count !== undefined && count !== batch.entries) {
      outbox.say("count", `${options.server} answered that it took ${count} entries of a batch of ${batch.entries}; check the server`);
    }
    if (this.most < options.batchSize && ++this.wentWell >= WELL_ENOUGH) {
      this.most = Math.min(this.most * 2, options.batchSize);
      this.wentWell = 0;
    }
    outbox.remove(batch);
  }

  /**
   * Put the halves of a batch in its place, or an uncompressed copy.
   *
   * @param {Batch} batch
   * @param {import("./answers.js").Verdict} verdict why
   */
  async replace(batch, verdict) {
    const { id, ordinal, adopted } = batch;
    const lines = split(await this.outbox.text(batch));
    const isCopied = verdict === "unsupported encoding";
    const middle = isCopied ? lines.length : lines.length >> 1;
    if (verdict === "unfinished") {
      this.most = Math.max(1, Math.min(this.most, middle));
      this.wentWell = 0;
    }
    const compress = batch.compressed && !isCopied;
    const parts = [lines.slice(0, middle), lines.slice(middle)].filter((part) => part.length);
    const successors = parts.map((part, index) =>
      makeBatch(`${id}.${index}`, part, { compress, ordinal, adopted, losses: index ? undefined : batch.losses }),
    );
    // All are kept before the parent is given up.
    for (const each of successors) each.ready = this.outbox.prepare(each);
    await Promise.all(successors.map((each) => each.ready));
    if (batch.place === "gone") {
      for (const each of successors) await this.outbox.store("remove", each);
      return;
    }
    this.suspects.replaced(batch, successors, !isCopied && verdict !== "refused" && verdict !== "unfinished");
    this.outbox.remove(batch, successors);
  }

  /** Give up a record that the server does not take. @param {Batch} batch @param {string} reason */
  async bury(batch, reason) {
    const text = await this.outbox.text(batch);
    // It was dropped for room, or it is delivered after all.
    if (batch.place === "gone") return;
    await this.outbox.store("bury", batch);
    if (!batch.adopted) this.outbox.counts.deadLettered += batch.count;
    // A notice of losses is no record, and nobody misses it.
    if (batch.count) {
      this.platform.say(`a record was given up, because ${this.options.server} refused it (${reason}): ${describe(text)}`);
    }
    this.outbox.remove(batch);
  }

  /** @param {Answer} answer @param {Ruling} ruling @param {string} verdict */
  tell({ detail, ...answer }, ruling, verdict) {
    const { server, timeout } = this.options;
    const isEnding = this.platform.now() < this.suspects.end;
    if (ruling.misconfigured) {
      const follows = isEnding ? "the process ends without trying again" : "the logs are kept as long as there is room, and tried every 30 s";
      const words = `${server} is not taking logs, and waiting will not help (${detail})`;
      this.outbox.say("configuration", `${words}: ${advice({ detail, ...answer })}; ${follows}`);
    } else if (verdict === "retry") {
      this.outbox.say("away", `${server} takes no logs now (${detail}); they are kept and sent as soon as it does`);
    } else if (verdict === "server error") {
      this.outbox.say("failing", `${server} fails on logs (${detail}); they are kept and sent again`);
    } else if (verdict === "unfinished") {
      this.outbox.say("slow", `${timeout / 1000} s were not enough to send a batch to ${server}; smaller ones are sent for a while`);
    }
  }
}

/** Level and the beginning of the message of a lone entry. @param {string} text */
function describe(text) {
  try {
    const { level, message } = JSON.parse(text).logs[0];
    return `${level} ${JSON.stringify(String(message).slice(0, 100))}`;
  } catch {
    return text.slice(0, 100);
  }
}
