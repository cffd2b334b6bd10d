/**
 * A logging call -> an entry of the server, as JSON: pure, of no platform. As in Python's `entry/builder.py` and
 * `entry/fields.py`.
 *
 * The entry is made text in the call, so a value that the application changes a moment later ships as it was. No value
 * throws into the application, and none makes an entry that the server refuses.
 */
import { COLUMNS, levelOf } from "./columns.js";
import { FULL, MORE, Walk, bare, clean, shortened, unused } from "./plain.js";
import { remembering } from "./redact.js";
import { callerIn, errorLine, errorType, frames, isError, stackTrace } from "./stack.js";

/** The most bytes that an entry takes. */
const MAX_BYTES = 256 * 1024;

/**
 * What is masked: the value under a secret's name, and secrets in the text of an address.
 *
 * @typedef {object} Redactor
 * @property {(name: string) => boolean} secret
 * @property {(name: string) => boolean} address
 * @property {(text: string) => string} text
 *
 * @typedef {object} Common what all entries of a client have
 * @property {string} [service]
 * @property {string} [environment]
 * @property {string} [serviceVersion]
 * @property {string} logType
 *
 * @typedef {object} Call
 * @property {unknown} level
 * @property {unknown} message
 * @property {number} time Unix seconds
 * @property {unknown} [fields]
 * @property {Record<string, any>} [bound] fields of the context, which those of the call win over
 * @property {unknown} [error] fills `stack_trace` and `error_type`
 * @property {unknown} [thrown] the same, where an error is a text already
 * @property {import("./stack.js").Frame} [caller]
 * @property {string} [stack] of a method of the client, which tells the caller
 * @property {Record<string, unknown>} [origin] what `metadata` says of every entry: process, thread
 */

/** Nothing is masked. @type {Redactor} */
export const NOTHING_SECRET = { secret: () => false, address: () => false, text: (text) => text };

/**
 * Makes entries of one client.
 *
 * @param {Common} common
 * @param {Redactor} [redact]
 * @param {import("./patterns.js").Mask} [mask] what is done to each entry at last
 */
export function entryMaker(common, redact = NOTHING_SECRET, mask = JSON.stringify) {
  const told = remembering(redact);
  return {
    /**
     * The entry of a call, as JSON. Never throws.
     *
     * @param {Call} call
     * @returns {string}
     */
    line(call) {
      for (let step = 0; step < 8; step++) {
        // Smaller texts and containers each time, so what is small stays whole beside what is large.
        const limits = { bytes: MAX_BYTES, text: MAX_BYTES >> (2 * step), items: MAX_BYTES >> (2 * step + 4), depth: 20 - 2 * step };
        try {
          const line = mask(makeEntry(call, common, new Walk(told, limits)));
          if (line.length * 3 <= MAX_BYTES || new TextEncoder().encode(line).length <= MAX_BYTES) return line;
        } catch (error) {
          if (error !== FULL) return mask(unreadable(call, common, error));
        }
      }
      return mask(unreadable(call, common, new RangeError()));
    },

    /**
     * Fields as they are now, plain: what is bound to a context.
     *
     * @param {unknown} fields
     * @returns {Record<string, any>}
     */
    snapshot(fields) {
      try {
        if (fields === undefined || fields === null) return {};
        const walk = new Walk(NOTHING_SECRET, { bytes: MAX_BYTES, text: MAX_BYTES, items: 4096, depth: 20 });
        const made = walk.value(fields, 0);
        return isPlain(made) ? made : { value: made };
      } catch {
        return {};
      }
    },

    /**
     * The entry that tells the server of records that were lost, as JSON.
     *
     * @param {Record<string, number>} losses their number, by reason
     * @param {number} time
     */
    loss(losses, time) {
      return lossLine(common, losses, time);
    },
  };
}

/** @typedef {ReturnType<typeof entryMaker>} EntryMaker */

const WHY = /** @type {Record<string, string>} */ ({
  queue_full: "the queue was full",
  buffer_full: "the buffer for batches was full",
  shutdown: "the process ended first",
  worker: "the thread that sends them ended",
});

/**
 * @param {Common} common
 * @param {Record<string, number>} losses
 * @param {number} time
 */
export function lossLine(common, losses, time) {
  const total = Object.values(losses).reduce((sum, each) => sum + each, 0);
  const why = Object.entries(losses).map(([reason, count]) => `${count} because ${WHY[reason] ?? reason}`).join(", ");
  return JSON.stringify({
    level: "WARN",
    message: `${total} log records were lost: ${why}`,
    created_at: time,
    ...columnsOf(common),
    metadata: { logger: "logcollector_handler", lost: losses },
  });
}

/** @param {Common} common */
function columnsOf({ service, environment, serviceVersion, logType }) {
  return { log_type: logType, service: service || undefined, environment, service_version: serviceVersion };
}

/**
 * @param {Call} call
 * @param {Common} common
 * @param {Walk} walk
 */
function makeEntry({ level, message, time, fields, bound, error, thrown = error, stack, caller, origin }, common, walk) {
  if (stack !== undefined) caller ??= callerIn(stack);
  /** @type {Record<string, any>} */
  const entry = { level: levelOf(level), message: "", created_at: time, ...columnsOf(common) };
  const metadata = Object.assign(bare(), origin);
  if (caller) {
    if (caller.line !== undefined) metadata.line = caller.line;
    entry.function_name = COLUMNS.get("function_name")?.(caller.function ?? "")[0] || undefined;
    entry.file_path = clean(String(COLUMNS.get("file_path")?.(caller.file)[0]));
  }
  if (isError(message)) {
    error ??= message;
    message = errorLine(message);
  }
  const text = typeof message === "string" ? message : walk.value(message, 0);
  entry.message = walk.text(typeof text === "string" ? text : JSON.stringify(text));
  const given = asFields(fields, walk);
  if (error === undefined) {
    const raw = /** @type {any} */ (fields);
    error = [given?.error, given?.err, raw?.error, raw?.err].find(isError);
  }
  if (error !== undefined && error !== null) describe(entry, error, walk);
  if (bound) place(entry, metadata, bound, walk, given);
  if (given) place(entry, metadata, given, walk);
  const shown = typeof thrown === "object" && !isError(thrown) ? walk.value(thrown, 1) : null;
  if (typeof shown === "object" && shown) add(metadata, "error", shown);
  if (walk.cut) metadata[unused("truncated", metadata)] = true;
  entry.metadata = metadata;
  return entry;
}

/** What the caller passed as fields, as an object of fields. @param {unknown} fields @param {Walk} walk @returns {any} */
function asFields(fields, walk) {
  if (fields === undefined || fields === null) return undefined;
  if (isError(fields)) return { error: fields };
  if (typeof fields !== "object" || Array.isArray(fields)) return { value: fields };
  if (fields instanceof Map) return Object.fromEntries(fields);
  const kind = Object.getPrototypeOf(fields);
  if ((kind === Object.prototype || kind === null) && !("toJSON" in fields)) return fields;
  // What it is made of says whether it has fields. It is gone through again where they are placed, and takes room once.
  const { room, cut } = walk;
  const made = walk.value(fields, 0);
  Object.assign(walk, { room, cut });
  return isPlain(made) ? made : { value: fields };
}

/** @param {Record<string, any>} entry @param {unknown} error @param {Walk} walk */
function describe(entry, error, walk) {
  entry.error_type = clean(String(COLUMNS.get("error_type")?.(isError(error) ? errorType(error) : typeof error)[0]));
  entry.stack_trace = walk.text(stackTrace(error), true);
  const at = isError(error) ? frames(readStack(error))[0] : undefined;
  if (at) {
    entry.function_name = COLUMNS.get("function_name")?.(clean(at.function ?? ""))[0] || undefined;
    entry.file_path = COLUMNS.get("file_path")?.(clean(at.file))[0];
  }
}

/** @param {Error} error */
function readStack(error) {
  try {
    return error.stack;
  } catch {
    return undefined;
  }
}

/**
 * Put fields into their columns, and what has no column into `metadata`.
 *
 * @param {Record<string, any>} entry
 * @param {Record<string, any>} metadata
 * @param {any} fields
 * @param {Walk} walk
 * @param {Record<string, unknown>} [winning] fields that win over these
 */
function place(entry, metadata, fields, walk, winning) {
  let left = walk.limits.items;
  const names = Object.keys(fields);
  /** @type {unknown} */
  let inner;
  for (const name of names) {
    if (winning && name !== "metadata" && isGiven(winning, name)) continue;
    if (left-- === 0) {
      walk.cut = true;
      metadata[unused(MORE, metadata)] = `${names.length - walk.limits.items} more left out`;
      break;
    }
    /** @type {unknown} */
    let value;
    try {
      value = fields[name];
    } catch (error) {
      value = `<could not be read: ${errorType(error)}>`;
    }
    if (value === undefined) continue;
    const isMasked = walk.redact.secret(name);
    if (!isMasked && name === "metadata" && isPlain(value)) {
      inner = value;
      continue;
    }
    const rule = isMasked ? undefined : COLUMNS.get(name);
    if (rule) {
      const address = typeof value === "string" && walk.redact.address(name);
      const [placed, kept] = placedBy(rule, address ? walk.redact.text(/** @type {string} */ (value)) : value);
      if (placed !== undefined) entry[name] = typeof placed === "string" ? walk.text(placed) : placed;
      if (!kept) continue;
    }
    add(metadata, walk.text(name), walk.named(name, value, 1));
  }
  if (inner !== undefined) {
    const made = walk.value(inner, 0);
    for (const name of Object.keys(made)) add(metadata, name, made[name]);
  }
}

/** Whether a field is there; one that is undefined is not, and one that cannot be read is. @param {any} fields @param {string} name */
function isGiven(fields, name) {
  try {
    return Object.hasOwn(fields, name) && fields[name] !== undefined;
  } catch {
    return true;
  }
}

/** @param {import("./columns.js").Rule} rule @param {unknown} value @returns {import("./columns.js").Placed} */
function placedBy(rule, value) {
  try {
    return rule(value);
  } catch {
    return [undefined, true];
  }
}

/** @param {unknown} value */
function isPlain(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isError(value) && !(value instanceof Date);
}

/** Add a field. If another has its name, it gets a number, unless both are the same. @param {Record<string, any>} fields @param {string} name @param {any} value */
function add(fields, name, value) {
  if (Object.hasOwn(fields, name) && fields[name] === value && typeof value !== "object") return;
  fields[unused(name, fields)] = value;
}

/** @param {Call} call @param {Common} common @param {unknown} error */
function unreadable(call, common, error) {
  const message = typeof call.message === "string" ? clean(shortened(call.message, 4000)) : `<${typeof call.message}>`;
  return {
    level: levelOf(typeof call.level === "string" ? call.level : "INFO"),
    message,
    created_at: call.time,
    ...columnsOf(common),
    metadata: { unreadable: errorType(error) },
  };
}
