/**
 * The client: what people call, on any platform. It makes an entry of each call and hands it to the platform's pipeline.
 * No method throws because of a value that is logged.
 */
import { nameOf } from "./plain.js";
import { OWN_FRAMES, isError } from "./stack.js";

/**
 * Which platform the client is on.
 *
 * @typedef {object} Host
 * @property {{autoCaller: boolean, shutdownTimeout: number}} settings
 * @property {Pipeline} pipeline
 * @property {Context} context
 * @property {Maker} maker makes the lines that the pipeline takes
 * @property {Record<string, unknown>} [origin] what `metadata` says of every entry
 *
 * @typedef {Pick<import("./entry.js").EntryMaker, "line" | "snapshot">} Maker
 *
 * @typedef {object} Pipeline takes entries and sends them
 * @property {(line: string, urgent: boolean) => void} send
 * @property {(milliseconds: number) => Promise<boolean>} flush
 * @property {(milliseconds: number) => Promise<boolean>} close
 * @property {() => Stats} stats
 *
 * @typedef {object} Context the fields that are bound where it is asked
 * @property {() => Record<string, any> | undefined} get
 * @property {(fields: Record<string, any> | undefined) => void} set
 * @property {<T>(fields: Record<string, any>, run: () => T) => T} run
 *
 * @typedef {object} Stats accepted = delivered + dropped + deadLettered + pending
 * @property {number} accepted
 * @property {number} delivered
 * @property {Record<string, number>} dropped by reason
 * @property {number} deadLettered
 * @property {number} pending
 *
 * @typedef {Record<string, unknown>} Fields one named like a column of the server fills that, all others go into `metadata`
 * @typedef {"TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR" | "FATAL"} Level
 */

export class LogClient {
  /** @type {Host} */
  #host;
  #maker;
  /** Fields of all entries of this client. @type {Record<string, any> | undefined} */
  #own;

  /**
   * @param {Host} host
   * @param {Record<string, any>} [own]
   */
  constructor(host, own) {
    this.#host = host;
    this.#own = own;
    this.#maker = host.maker;
  }

  /**
   * Log a message.
   *
   * @param {Level | Lowercase<Level> | (string & {})} level
   * @param {unknown} message
   * @param {Fields} [fields]
   */
  log(level, message, fields) {
    this.#write(level, message, fields);
  }

  /** @param {unknown} message @param {Fields} [fields] */
  trace(message, fields) {
    this.#write("TRACE", message, fields);
  }

  /** @param {unknown} message @param {Fields} [fields] */
  debug(message, fields) {
    this.#write("DEBUG", message, fields);
  }

  /** @param {unknown} message @param {Fields} [fields] */
  info(message, fields) {
    this.#write("INFO", message, fields);
  }

  /** @param {unknown} message @param {Fields} [fields] */
  warn(message, fields) {
    this.#write("WARN", message, fields);
  }

  /** @param {unknown} message @param {Fields} [fields] */
  error(message, fields) {
    this.#write("ERROR", message, fields);
  }

  /** @param {unknown} message @param {Fields} [fields] */
  fatal(message, fields) {
    this.#write("FATAL", message, fields);
  }

  /**
   * Log at ERROR with the stack trace of an error and of its causes.
   *
   * @param {unknown} message
   * @param {unknown} error
   * @param {Fields} [fields]
   */
  errorWithTrace(message, error, fields) {
    this.#write("ERROR", message, fields, error ?? (typeof message === "string" ? new Error(message) : undefined));
  }

  /** What `endTimer` takes. @returns {number} */
  startTimer() {
    return performance.now();
  }

  /**
   * Log the time since `startTimer`; returns it in milliseconds. It is NaN if `start` is no number.
   *
   * @param {number} start
   * @param {string} [level]
   * @param {unknown} [message]
   * @param {Fields} [fields]
   */
  endTimer(start, level = "INFO", message = "timer", fields) {
    const milliseconds = performance.now() - (typeof start === "number" ? start : NaN);
    this.#write(level, message, fields, undefined, { duration_ms: milliseconds });
    return milliseconds;
  }

  /**
   * Log how long a function takes, also one that returns a promise. What it throws is logged at ERROR and goes on.
   *
   * @template T
   * @param {() => T} run
   * @param {string} [message]
   * @param {string} [level]
   * @returns {T}
   */
  measure(run, message, level = "INFO") {
    const start = performance.now();
    // Beside the frames of a method there is one of this function. In a text, so that Safari does not do without it.
    const stack = (() => `${stackHere(this.#host)}`)();
    /** @type {(as: string, error?: unknown) => void} */
    const log = (as, error) =>
      this.#write(as, message ?? (nameOf(run) || "measured"), { duration_ms: performance.now() - start }, error, undefined, stack);
    const failed = (/** @type {unknown} */ error) => {
      log("ERROR", error ?? new Error("undefined"));
      throw error;
    };
    const done = (/** @type {any} */ value) => {
      log(level);
      return value;
    };
    let result;
    try {
      result = run();
    } catch (error) {
      return failed(error);
    }
    try {
      if (typeof (/** @type {any} */ (result)?.then) === "function") return /** @type {any} */ (Promise.resolve(result).then(done, failed));
    } catch {
      // It cannot be read, and whoever awaits the result will see that.
    }
    return done(result);
  }

  /**
   * A client whose entries have these fields, too. It sends through the same pipeline.
   *
   * @param {Fields} fields
   */
  child(fields) {
    return new LogClient(this.#host, { ...this.#own, ...this.#maker.snapshot(fields) });
  }

  /**
   * Call a function; what is logged in it has these fields, in Node also what it awaits.
   *
   * @template T
   * @param {Fields} fields
   * @param {() => T} run
   * @returns {T}
   */
  runWithContext(fields, run) {
    const { context } = this.#host;
    return context.run({ ...context.get(), ...this.#maker.snapshot(fields) }, run);
  }

  /** What is logged from here on has these fields; in Node, here and in what is started from here. @param {Fields} fields */
  setContext(fields) {
    const { context } = this.#host;
    context.set({ ...context.get(), ...this.#maker.snapshot(fields) });
  }

  clearContext() {
    this.#host.context.set(undefined);
  }

  /**
   * Send everything that was logged. True when it is delivered, or given up as refused; false when something was dropped,
   * or after that many milliseconds.
   *
   * @param {number} [milliseconds]
   * @returns {Promise<boolean>}
   */
  flush(milliseconds) {
    return this.#host.pipeline.flush(this.#patience(milliseconds));
  }

  /** Send everything that was logged, and end. Logging opens the client again. @param {number} [milliseconds] */
  close(milliseconds) {
    return this.#host.pipeline.close(this.#patience(milliseconds));
  }

  /** A time that a timer can wait: `shutdownTimeout` for what is no number from 0 on. @param {unknown} given */
  #patience(given) {
    return typeof given === "number" && given >= 0 ? Math.min(given, 2 ** 31 - 1) : this.#host.settings.shutdownTimeout;
  }

  /** @returns {Stats} */
  stats() {
    return this.#host.pipeline.stats();
  }

  /**
   * @param {unknown} level
   * @param {unknown} message
   * @param {unknown} fields
   * @param {unknown} [error]
   * @param {Record<string, any>} [more]
   * @param {string} [stack] that tells who called
   */
  #write(level, message, fields, error, more, stack) {
    const { context, pipeline, origin } = this.#host;
    const line = this.#maker.line({
      level,
      message,
      time: Date.now() / 1000,
      fields,
      bound: { ...context.get(), ...more, ...this.#own },
      error,
      stack: isError(error) ? undefined : (stack ?? stackHere(this.#host)),
      origin,
    });
    // Entries begin with their level.
    pipeline.send(line, /^{"level":"(ERROR|FATAL)"/.test(line));
  }
}

/** The stack, as far as the frame that called a method of the client: `OWN_FRAMES` are above that. @param {Host} host */
function stackHere({ settings }) {
  if (!settings.autoCaller) return undefined;
  const before = Error.stackTraceLimit;
  try {
    // V8 collects so many frames; the other engines do not know it.
    Error.stackTraceLimit = OWN_FRAMES + 1;
    // An application may make something else of stacks.
    return String(new Error().stack);
  } catch {
    return undefined;
  } finally {
    try {
      Error.stackTraceLimit = before;
    } catch {
      // Frozen, so it was not changed either.
    }
  }
}
