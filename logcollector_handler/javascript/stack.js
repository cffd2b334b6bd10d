/**
 * Stack traces as V8, Firefox and Safari write them: where the first frame is, and the text of an error with its causes.
 */

/**
 * A place in the code.
 *
 * @typedef {{function?: string, file: string, line?: number}} Frame
 */

/** How many causes, and errors of an AggregateError, are written out. */
const MOST = 10;

/** Longer lines are no frames. The patterns take the square of a line's length, and messages, which anyone may write, are in stacks. */
const LONGEST = 2000;

/** Frames of the client above its caller's: `stackHere`, `write`, the method. */
export const OWN_FRAMES = 3;

const V8 = /^\s*at (?:async )?(?:(.+?) \()?(.+?)(?::(\d+))?(?::\d+)?\)?$/;
const GECKO = /^(?:(.*?)(?:\/<)*@)?((?:[a-z-]+:\/|\/).*?|\[native code\])(?::(\d+))?(?::\d+)?$/;

/**
 * The frames of a stack; lines that are none are left out.
 *
 * @param {unknown} stack
 * @param {number} [most] how many
 * @returns {Frame[]}
 */
export function frames(stack, most = 1) {
  const found = [];
  if (typeof stack === "string") {
    // In V8 the stack begins with the message, in which a line may look like a frame of Firefox.
    const pattern = /^\s+at /m.test(stack) ? V8 : GECKO;
    for (const line of stack.slice(0, 1 << 16).split("\n", 200)) {
      const match = line.length < LONGEST && pattern.exec(line);
      if (!match || /^(node:|\[native|<anonymous>|native$)/.test(match[2])) continue;
      found.push({ function: match[1] || undefined, file: pathOf(match[2]), line: Number(match[3]) || undefined });
      if (found.length === most) break;
    }
  }
  return found;
}

/** What is remembered of stacks, which are the same at each call from one place. @type {Map<string, Frame | undefined>} */
const callers = new Map();

/**
 * The frame that called a method of the client, in the stack that the client took.
 *
 * @param {string} stack
 */
export function callerIn(stack) {
  let found = callers.get(stack);
  if (!found) {
    [found] = frames(stack, OWN_FRAMES + 1).slice(OWN_FRAMES);
    if (callers.size >= 4096) callers.clear();
    callers.set(stack, found);
  }
  return found;
}

/** @param {string} file */
function pathOf(file) {
  if (!file.startsWith("file://")) return file;
  try {
    return decodeURIComponent(file.slice(7));
  } catch {
    return file;
  }
}

/**
 * `Type: message`, whatever the error is made of.
 *
 * @param {Error} error
 */
export function errorLine(error) {
  const name = errorType(error);
  const message = guarded(() => String(error.message));
  return message ? `${name}: ${message}` : name;
}

/** The name of an error's type. @param {unknown} error */
export function errorType(error) {
  return guarded(() => {
    const { name, constructor } = /** @type {Error} */ (error);
    // A class that sets no name of its own inherits that of its base class.
    return String(constructor?.name && (!name || name === "Error") ? constructor.name : name) || "Error";
  });
}

/**
 * The whole trace of an error, its causes and the errors that it is made of.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function stackTrace(error) {
  /** @type {string[]} */
  const parts = [];
  /** @type {Set<unknown>} */
  const seen = new Set();
  /** @param {unknown} each @param {string} how */
  const add = (each, how) => {
    if (each === undefined || each === null || seen.has(each) || parts.length >= MOST) return;
    seen.add(each);
    if (!isError(each)) {
      // Of an object the names only: there may be secrets in it, which are masked where it is a field.
      parts.push(how + guarded(() => (typeof each === "object" ? `{${Object.keys(each)}}` : String(each))));
      return;
    }
    const line = errorLine(each);
    const stack = guarded(() => String(each.stack ?? ""));
    // V8 begins a stack with the error's name and message, Firefox and Safari with the first frame.
    const begins = /^\s*at /m.test(stack) && !/^\s*at /.test(stack);
    parts.push(how + (stack ? (begins ? stack : `${line}\n${stack}`) : line));
    add(guarded(() => /** @type {any} */ (each.cause)), "Caused by: ");
    const inner = guarded(() => /** @type {any} */ (each).errors);
    if (Array.isArray(inner)) for (const one of inner.slice(0, MOST)) add(one, "Including: ");
  };
  add(error, "");
  return parts.join("\n");
}

/** Whether a value is an error, also one of another realm. @param {unknown} value @returns {value is Error} */
export function isError(value) {
  return guarded(() => value instanceof Error || Object.prototype.toString.call(value) === "[object Error]") === true;
}

/**
 * What a function returns; a text that says so where it raised: the values of the application run their own code.
 *
 * @param {() => any} read
 */
function guarded(read) {
  try {
    return read();
  } catch {
    return "<unreadable>";
  }
}
