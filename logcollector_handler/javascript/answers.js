/**
 * What an answer means and how long to wait after it: the table of answers as pure functions, as in Python's
 * `delivery/answers.py`. No clock, no network and no state is in here. Times are in milliseconds.
 */

/** The time between attempts while something is configured wrongly. */
export const CONFIGURATION_RETRY = 30_000;
const RETRY_AFTER_LIMIT = 300_000;

/**
 * How a request ended.
 *
 * @typedef {object} Answer
 * @property {number} [status] of a complete answer; none came without
 * @property {string} [type] its Content-Type
 * @property {string} [text] its body, or the beginning of it
 * @property {string | null} [retryAfter] the header of that name
 * @property {string} detail what happened, in words for people, without secrets
 * @property {boolean} [arrived] the server may have got the whole request
 * @property {boolean} [lostBefore] the server may have got it before, on a connection that it then closed
 * @property {boolean} [unusable] no request can get there, because a setting is wrong
 * @property {boolean} [unfinished] the time was over before the batch was sent
 *
 * @typedef {"delivered" | "retry" | "refused" | "server error" | "unfinished" | "unsupported encoding" | "configuration"} Verdict
 */

/** An HTML page: the word of a gateway or of another server. @param {Answer} answer */
export const isPage = ({ type = "", text = "" }) => /html/i.test(type) || /^\s*<(!doctype|html)/i.test(text);

/**
 * What an answer says of the batch, of the server or of the settings.
 *
 * @param {Answer} answer
 * @param {boolean} compressed whether the body was
 * @returns {Verdict}
 */
export function classify(answer, compressed) {
  const { status } = answer;
  if (answer.unusable) return "configuration";
  if (answer.unfinished) return "unfinished";
  if (status === undefined) return "retry";
  if (isPage(answer)) {
    if (status === 413) return "refused";
    return status >= 500 || [408, 425, 429].includes(status) ? "retry" : "configuration";
  }
  if ([408, 409, 425, 429, 502, 503, 504].includes(status)) return "retry";
  if (status >= 200 && status < 300) return "delivered";
  if ([400, 413, 422].includes(status)) return "refused";
  if (status === 415 && compressed) return "unsupported encoding";
  return status >= 500 ? "server error" : "configuration";
}

/**
 * The server may have stored the batch, and its answer did not get here.
 *
 * @param {Answer} answer
 */
export function isLost(answer) {
  const { status } = answer;
  if (answer.lostBefore) return true;
  if (!answer.arrived) return false;
  return status === undefined || status === 502 || status === 504 || (status >= 500 && status !== 503 && isPage(answer));
}

/**
 * What a person should look at after a configuration error.
 *
 * @param {Answer} answer
 */
export function advice(answer) {
  const status = answer.status ?? 0;
  if (status === 401 || status === 403) return "check apiKey";
  const elsewhere = isPage(answer) || (status >= 300 && status < 400) || status === 404 || status === 405;
  return elsewhere || answer.unusable ? "check the server's URL" : "check the settings";
}

/**
 * The time to wait after that many failures in a row: 1, 2, 4 … s with jitter, 30 s at most. When the process ends, a
 * tenth of that, 1 s at most.
 *
 * @param {number} failures
 * @param {number} chance a random number from 0 to 1
 * @param {boolean} [ending]
 */
export function backoff(failures, chance, ending) {
  const wait = 1000 * 2 ** Math.min(failures - 1, 10) * (0.75 + 0.5 * chance);
  return ending ? Math.min(1000, wait / 10) : Math.min(30_000, wait);
}

/**
 * The time that a Retry-After header asks for, at most 5 minutes; 0 where it is missing or cannot be read.
 *
 * @param {string | null | undefined} value seconds, or a date
 * @param {number} now milliseconds since 1970
 */
export function retryAfter(value, now) {
  if (!value) return 0;
  // `Date.parse` takes nearly everything for a date; those of HTTP have a time of day.
  const at = /\d:\d\d:\d\d/.test(value) ? Date.parse(value) : NaN;
  const wait = /^\s*\d+\s*$/.test(value) ? Number(value) * 1000 : at - now;
  return Math.min(Math.max(0, wait || 0), RETRY_AFTER_LIMIT);
}

/** The number of entries that the server says it took, if it says so. @param {Answer} answer @returns {number | undefined} */
export function taken({ text = "" }) {
  try {
    const { count } = JSON.parse(text);
    return typeof count === "number" ? count : undefined;
  } catch {
    return undefined;
  }
}
