/**
 * The batch: a finished body with the key under which it is posted. Its body never changes: a retry repeats the same
 * bytes under the same key. What else is in it is what happened to it, for `suspects.js`.
 */

/** Batches of this many entries or characters are compressed, if compression is on. */
const COMPRESS_FROM = 100;
const COMPRESS_LENGTH = 64 * 1024;

/**
 * @typedef {object} Batch
 * @property {string} id the Idempotency-Key
 * @property {string | undefined} text the body, until `bytes` is made
 * @property {Uint8Array | undefined} bytes as it is posted: gzip if `compressed`
 * @property {boolean} compressed
 * @property {number} size in bytes, roughly before `bytes` is made
 * @property {number} entries
 * @property {number} count records: one less than entries if the first tells of losses
 * @property {Record<string, number> | undefined} losses what the first entry tells, by reason
 * @property {number} ordinal how many records were put into batches before and with it
 * @property {boolean} [adopted] an earlier process or visit made it: its records are not counted again
 * @property {Promise<void>} [ready] settled when it can be posted
 * @property {boolean} [isInFlight]
 *
 * What happened to it:
 *
 * @property {"order" | "aside" | "refused" | "gone"} place
 * @property {number} failures answers of 500 and the like
 * @property {number} failedAt the number of the request that got the last of them
 * @property {boolean} witnessed the request right before that one succeeded
 * @property {number} signs pairs of successes in a row between which only batches failed that were set aside before
 * @property {boolean} ofSuspect it was cut from a batch that was blamed
 * @property {boolean} answerLost the server may have stored it
 * @property {number} notBefore when it is tried again while it is set aside
 * @property {number} postponed how often it was set aside for other reasons
 * @property {string} refusal what the server said when it refused this lone record
 */

/** Characters of an id that say who drew it: a page, or a worker of Node. */
export const OWNER_LENGTH = 29;

/** @param {string[]} lines */
export const join = (lines) => `{"logs":[${lines.join(",")}]}`;

/** The entries of a body, one text each. @param {string} text @returns {string[]} */
export const split = (text) => JSON.parse(text).logs.map((/** @type {unknown} */ each) => JSON.stringify(each));

/**
 * @param {string} id
 * @param {string[]} lines
 * @param {{compress: boolean, ordinal: number, losses?: Record<string, number>, adopted?: boolean}} how
 * @returns {Batch}
 */
export function makeBatch(id, lines, { compress, ordinal, losses, adopted }) {
  const text = join(lines);
  return {
    ...storedBatch(id, new Uint8Array(), compress && (lines.length >= COMPRESS_FROM || text.length >= COMPRESS_LENGTH), lines.length),
    text,
    bytes: undefined,
    size: text.length,
    count: lines.length - (losses ? 1 : 0),
    losses,
    ordinal,
    adopted,
  };
}

/**
 * A batch that an earlier process or visit left behind.
 *
 * @param {string} id
 * @param {Uint8Array} bytes
 * @param {boolean} compressed
 * @param {number} entries
 * @returns {Batch}
 */
export function storedBatch(id, bytes, compressed, entries) {
  return {
    id, text: undefined, bytes, compressed, size: bytes.length, entries, count: entries, losses: undefined, ordinal: 0,
    adopted: true, place: "order", failures: 0, failedAt: 0, witnessed: false, signs: 0, ofSuspect: false,
    answerLost: false, notBefore: 0, postponed: 0, refusal: "",
  };
}

/** @param {number} length in bytes */
function randomHex(length) {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Draws ids that sort in the order in which they were drawn. Each ends in random bytes of its own.
 *
 * @param {number} now milliseconds since 1970
 * @returns {() => string}
 */
export function batchIds(now) {
  const owner = `${Math.max(0, Math.floor(now)).toString(16).padStart(12, "0").slice(-12)}-${randomHex(8)}`;
  let number = 0;
  return () => `${owner}-${(++number >>> 0).toString(16).padStart(8, "0")}${randomHex(8)}`;
}
