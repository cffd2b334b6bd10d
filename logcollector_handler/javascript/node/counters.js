/**
 * What the calling thread and the worker share: counts of records, and flags on which the calling thread waits. The
 * worker writes the counts.
 */

/** Places of the counts. */
export const TAKEN = 0;
export const DELIVERED = 1;
export const DEAD_LETTERED = 2;
export const QUEUE_FULL = 3;
export const BUFFER_FULL = 4;
export const SHUTDOWN = 5;
export const WORKER = 6;
/** Left in the spool at the end. */
export const SPOOLED = 7;

/** The places of records that were dropped, by reason. @type {Record<string, number>} */
export const DROPPED = { queue_full: QUEUE_FULL, buffer_full: BUFFER_FULL, shutdown: SHUTDOWN, worker: WORKER };

/** Places of the flags: grows with each message that the worker takes, and when it is up; the worker is done. */
export const MOVED = 0;
export const ENDED = 1;

/** @typedef {{counts: BigInt64Array, flags: Int32Array}} Counters */

/** @returns {Counters} */
export function makeCounters() {
  return {
    counts: new BigInt64Array(new SharedArrayBuffer(8 * 8)),
    flags: new Int32Array(new SharedArrayBuffer(4 * 2)),
  };
}

/** @param {Counters} counters @param {number} place */
export const read = ({ counts }, place) => Number(Atomics.load(counts, place));

/** @param {Counters} counters @param {number} place @param {number} more */
export const add = ({ counts }, place, more) => void Atomics.add(counts, place, BigInt(more));
