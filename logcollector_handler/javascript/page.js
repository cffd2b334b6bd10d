/**
 * What a page does in a logging call: it takes a snapshot of what was passed, as JSON, and leaves the rest to `sending.js`,
 * which makes the entry of it in the worker. So little of the code is in the page.
 */
import { FULL, Walk, unused } from "./plain.js";
import { errorLine, errorType, isError, stackTrace } from "./stack.js";

/** The most bytes that a snapshot takes. */
const MAX_BYTES = 1 << 18;
/** Nothing: the worker masks secrets, before anything leaves the browser. */
const LATER = { secret: () => false, address: () => false, text: (/** @type {string} */ text) => text };

/**
 * What is known of an error.
 *
 * @typedef {{type: string, trace: string, value: unknown}} Thrown
 *
 * @typedef {Omit<import("./entry.js").Call, "error"> & {thrown?: Thrown}} Snapshot
 */

/**
 * @param {() => Record<string, any>} here fields of the page, which all others win over
 * @returns {import("./client.js").Maker}
 */
export const snapshots = (here) => ({
  line(call) {
    const level = typeof call.level === "string" ? call.level.toUpperCase() : "INFO";
    const bound = { ...here(), ...call.bound };
    const { message, time } = call;
    let failed;
    for (let step = 0; step < 8; step++) {
      // Smaller texts and containers each time, so what is small stays whole beside what is large.
      const text = MAX_BYTES >> (2 * step);
      try {
        const walk = new Walk(LATER, { bytes: MAX_BYTES, text, items: text >> 4, depth: 20 - 2 * step });
        return JSON.stringify(snapshot({ ...call, level, bound }, walk));
      } catch (error) {
        failed = error;
        if (error !== FULL) break;
      }
    }
    const said = typeof message === "string" ? message : "<unreadable>";
    return JSON.stringify({ level, message: said, time, fields: { unreadable: errorType(failed) } });
  },

  snapshot(fields) {
    try {
      return asFields(new Walk(LATER, { bytes: MAX_BYTES, text: MAX_BYTES, items: 4096, depth: 20 }), fields) ?? {};
    } catch {
      return {};
    }
  },
});

/** @param {import("./entry.js").Call} call @param {Walk} walk */
function snapshot({ level, message, time, fields, bound, error, stack, origin }, walk) {
  error ??= [message, fields, /** @type {any} */ (fields)?.error, /** @type {any} */ (fields)?.err].find(isError);
  const made = asFields(walk, isError(fields) ? { error: fields } : fields);
  if (walk.cut && made) made[unused("truncated", made)] = true;
  const text = isError(message) ? errorLine(message) : message;
  /** @type {Thrown | undefined} */
  let thrown;
  if (error !== undefined && error !== null) {
    thrown = { type: isError(error) ? errorType(error) : typeof error, trace: walk.text(stackTrace(error)), value: walk.value(error, 1) };
  }
  return { level, message: walk.value(text, 0), time, fields: made, bound, thrown, stack, origin };
}

/** @param {Walk} walk @param {unknown} fields @returns {Record<string, any> | undefined} */
function asFields(walk, fields) {
  if (fields === undefined || fields === null) return undefined;
  const made = walk.value(fields, 0);
  return typeof made === "object" && !Array.isArray(made) ? made : { value: made };
}
