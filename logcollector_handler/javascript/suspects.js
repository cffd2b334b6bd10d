/**
 * The evidence: what follows from how requests ended, as in Python's `delivery/suspects.py`. No clock, no network.
 *
 * An answer of 500 does not say whether the batch is at fault or the server. A batch is only blamed while the server is
 * seen to work: when the requests right before and right after its last failure succeeded, or when three times in a row,
 * between two successes, only batches failed that were set aside before. To get the evidence, a batch that failed more
 * often than `maxRetries` is set aside, and tried again between others. An outage fails other batches as well.
 */
import { CONFIGURATION_RETRY, backoff } from "./answers.js";

/** This many lone records refused, and nothing accepted in between: the settings are wrong, and not the records. */
const REFUSALS_IN_A_ROW = 20;
const SIGNS_ENOUGH = 3;

/**
 * What is to be done after a request.
 *
 * @typedef {object} Ruling
 * @property {number} [rest] milliseconds for which nothing is sent
 * @property {boolean} [firm] a flush does not shorten the rest
 * @property {Batch[]} [split]
 * @property {[Batch, string][]} [bury] lone records, and why
 * @property {boolean} [misconfigured]
 *
 * @typedef {import("./batch.js").Batch} Batch
 * @typedef {import("./answers.js").Verdict} Verdict
 */

export class Suspects {
  /** @param {number} maxRetries */
  constructor(maxRetries) {
    this.maxRetries = maxRetries;
    /** Until when the process may take to end. */
    this.end = -Infinity;
    /** The last request said that the settings are wrong. */
    this.isHopeless = false;
    /** @type {Batch[]} */
    this.aside = [];
    /** @type {Batch[]} */
    this.refused = [];
    this.request = 0;
    this.lastSuccess = 0;
    this.streak = 0;
    this.serverMayBeAtFault = false;
    this.refusals = 0;
    this.refusalsSayNothing = false;
  }

  /** The process ends: end all waits, and until then try again after short ones. @param {number} end @param {number} now */
  hasten(end, now) {
    this.end = end;
    this.isHopeless = false;
    for (const each of this.aside) each.notBefore = now;
  }

  /** Forget a batch that is settled, or not here any more. @param {Batch} batch */
  forget(batch) {
    this.aside = this.aside.filter((each) => each !== batch);
    this.refused = this.refused.filter((each) => each !== batch);
  }

  /**
   * The batch to send: `ahead`, the next in order, or one that was set aside and is due.
   *
   * @param {Batch | undefined} ahead
   * @param {number} now
   * @returns {Batch | undefined}
   */
  choose(ahead, now) {
    if (this.isHopeless && now < this.end) return undefined;
    let due = this.aside.filter((each) => each.notBefore <= now || this.onProbation(each));
    if (due.length && !ahead) return due[0];
    // One set-aside batch between two others: a failure between two successes is the evidence.
    if (this.lastSuccess === this.request) {
      if (now < this.end) due = due.filter((each) => each.failures || each.ofSuspect);
      if (due.length) return due[0];
    }
    return ahead;
  }

  /** Milliseconds until `choose` may have another answer, if time alone can change it. @param {number} now */
  dueIn(now) {
    if (this.isHopeless && now < this.end) return Infinity;
    return Math.min(Infinity, ...this.aside.map((each) => Math.max(0, each.notBefore - now)));
  }

  /** It failed as often as it may, in an outage perhaps, and the server works now. @param {Batch} batch */
  onProbation(batch) {
    return batch.failures > this.maxRetries && !batch.witnessed && batch.failedAt < this.lastSuccess;
  }

  /** Nothing else is left to send, and the refused records were too few to doubt the settings. @returns {[Batch, string][]} */
  giveUpRefused() {
    return this.refused.splice(0).map((each) => [each, each.refusal]);
  }

  /**
   * A request ended.
   *
   * @param {Batch} batch
   * @param {Verdict} verdict
   * @param {{now: number, chance: number, detail: string, lost: boolean, asked: number}} how
   * @returns {Ruling}
   */
  ended(batch, verdict, { now, chance, detail, lost, asked }) {
    this.request++;
    if (verdict === "delivered") return this.delivered(batch);
    if (verdict === "unsupported encoding") return {};
    batch.answerLost ||= lost;
    const ending = now < this.end;
    if (verdict === "unfinished") {
      this.serverMayBeAtFault = true;
      if (batch.entries > 1 && !batch.answerLost) return { split: [batch] };
      this.postpone(batch, now, chance);
      return {};
    }
    if (verdict === "refused" && !this.refusalsSayNothing) {
      return batch.entries > 1 ? { split: [batch] } : this.loneRefusal(batch, detail, now);
    }
    this.streak++;
    if (verdict === "server error") return this.serverFailed(batch, now, chance, ending);
    if (verdict === "retry") {
      this.serverMayBeAtFault = true;
      const firm = asked >= 1000 && !(ending && now + asked >= this.end);
      const rest = firm ? asked : backoff(this.streak, chance, ending);
      if (ending) this.setAside(batch, now + rest);
      return { rest, firm };
    }
    if (verdict === "refused") this.setAside(batch, now + CONFIGURATION_RETRY);
    return this.misconfigured();
  }

  /** @param {Batch} batch @returns {Ruling} */
  delivered(batch) {
    for (const each of this.aside) {
      if (each.failedAt > this.lastSuccess) each.signs = this.serverMayBeAtFault ? 0 : each.signs + 1;
    }
    this.serverMayBeAtFault = this.refusalsSayNothing = this.isHopeless = false;
    this.lastSuccess = this.request;
    this.streak = this.refusals = 0;
    this.forget(batch);
    // A server that takes this one was right to refuse those, and works while it fails on the suspects.
    const bury = this.giveUpRefused();
    /** @type {Batch[]} */
    const split = [];
    for (const each of this.aside.filter((one) => this.isSuspect(one))) {
      if (each.entries > 1) split.push(each);
      else {
        this.forget(each);
        bury.push([each, "the server fails on it, and only on it"]);
      }
    }
    return { split, bury };
  }

  /** @param {Batch} batch */
  isSuspect(batch) {
    const isBetweenSuccesses = batch.witnessed && batch.failedAt === this.request - 1;
    if (batch.failures <= this.maxRetries || !(isBetweenSuccesses || batch.signs >= SIGNS_ENOUGH)) return false;
    return batch.entries === 1 || !batch.answerLost;
  }

  /** @param {Batch} batch @param {string} detail @param {number} now @returns {Ruling} */
  loneRefusal(batch, detail, now) {
    this.forget(batch);
    batch.place = "refused";
    batch.refusal = detail;
    this.refused.push(batch);
    if (++this.refusals < REFUSALS_IN_A_ROW) return {};
    this.refusalsSayNothing = true;
    for (const each of [...this.refused]) this.setAside(each, now + CONFIGURATION_RETRY);
    this.streak++;
    return this.misconfigured();
  }

  /** @returns {Ruling} */
  misconfigured() {
    this.serverMayBeAtFault = this.isHopeless = true;
    return { rest: CONFIGURATION_RETRY, firm: true, misconfigured: true };
  }

  /** @param {Batch} batch @param {number} now @param {number} chance @param {boolean} ending @returns {Ruling} */
  serverFailed(batch, now, chance, ending) {
    const othersGo = this.request - 1 === this.lastSuccess && this.lastSuccess > 0;
    batch.failures++;
    batch.witnessed = othersGo;
    batch.failedAt = this.request;
    const wasAside = batch.place === "aside";
    this.serverMayBeAtFault ||= !wasAside;
    const isExhausted = batch.failures > this.maxRetries;
    // The next batch goes at once where that can tell whether this batch is at fault or the server.
    const rests = wasAside ? !othersGo : !isExhausted;
    if (wasAside || ending || isExhausted) this.setAside(batch, now + backoff(batch.failures, chance, ending));
    // Half of a batch that was at fault, and the other half went: the fault is in this half.
    const isBlamed = batch.ofSuspect && othersGo && batch.entries > 1 && !batch.answerLost;
    return { rest: rests ? backoff(this.streak, chance, ending) : 0, split: isBlamed ? [batch] : [] };
  }

  /**
   * These are in the place of the batch. `blamed`: it was split because the server fails on it.
   *
   * @param {Batch} batch
   * @param {Batch[]} successors
   * @param {boolean} blamed
   */
  replaced(batch, successors, blamed) {
    for (const each of successors) {
      // A half that fails once more is split again. A lone record, and a plain copy, get all of their attempts.
      each.failures = each.entries > 1 && each.entries < batch.entries ? batch.failures : 0;
      each.ofSuspect = blamed;
      each.place = batch.place;
    }
    const at = this.aside.indexOf(batch);
    if (at >= 0) this.aside.splice(at, 1, ...successors);
    this.forget(batch);
  }

  /** Try a batch again later, for another reason than that it failed. @param {Batch} batch @param {number} now @param {number} chance */
  postpone(batch, now, chance) {
    batch.signs = 0;
    batch.witnessed = true;
    this.setAside(batch, now + backoff(++batch.postponed, chance, now < this.end));
  }

  /** @param {Batch} batch @param {number} notBefore */
  setAside(batch, notBefore) {
    this.forget(batch);
    batch.place = "aside";
    batch.notBefore = notBefore;
    this.aside.push(batch);
  }
}
