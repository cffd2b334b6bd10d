/**
 * A transport for winston.
 *
 *     import { CollectorTransport } from "logcollector-handler/winston";
 *     winston.createLogger({ transports: [new CollectorTransport({ serverUrl, service: "shop" })] })
 */
import { Writable } from "node:stream";

import { levelOf } from "./columns.js";
import { errorColumns, openTransport, timeIn } from "./node/host.js";

const LEVEL = Symbol.for("level");
/** winston's levels that the server calls otherwise. @type {Record<string, string>} */
const LEVELS = { silly: "TRACE", verbose: "DEBUG", http: "INFO", notice: "INFO", alert: "FATAL", emerg: "FATAL" };

/**
 * The options of a client, and those that every transport of winston has.
 *
 * @typedef {object} Own
 * @property {string} [serverUrl]
 * @property {string} [level] entries below it are discarded; that of the logger, if it is not given
 * @property {{transform: Function, options?: unknown}} [format]
 * @property {boolean} [silent]
 * @property {boolean} [handleExceptions]
 * @property {boolean} [handleRejections]
 */

export class CollectorTransport extends Writable {
  #transport;

  /** @param {import("./settings.js").LogClientOptions & Own} [options] */
  constructor({ level, format, silent, handleExceptions, handleRejections, ...options } = {}) {
    super({ objectMode: true });
    this.#transport = openTransport(options);
    // winston reads these of its transports.
    this.level = level;
    this.format = format;
    this.silent = silent;
    this.handleExceptions = handleExceptions;
    this.handleRejections = handleRejections;
    /** The logger. @type {any} */
    this.parent = undefined;
    this.once("pipe", (logger) => (this.parent = logger));
  }

  /**
   * What winston calls for an entry.
   *
   * @param {any} info
   * @param {() => void} done
   */
  log(info, done) {
    const { level: shown, message, stack, timestamp, exception, rejection, ...fields } = info;
    const level = String(info[LEVEL] ?? shown);
    const at = timestamp instanceof Date ? timestamp.getTime() : timeIn(timestamp);
    const time = at > 0 ? at : undefined;
    this.#transport.send({
      level: LEVELS[level] ?? levelOf(level),
      message: message ?? "",
      time: (time ?? Date.now()) / 1000,
      fields: {
        ...(typeof stack === "string" && errorColumns(/^\w*(?=:)/.exec(stack)?.[0] || "Error", stack)),
        ...(timestamp !== undefined && time === undefined && { timestamp }),
        ...((exception || rejection) && { uncaught: exception ? "exception" : "rejection" }),
        ...fields,
      },
    });
    done();
  }

  /** @param {any} info @param {BufferEncoding} _ @param {() => void} done */
  _write(info, _, done) {
    const levels = this.parent?.levels;
    const least = this.level ?? this.parent?.level;
    const isUnwanted = levels && least && levels[least] < levels[info[LEVEL]];
    const isOthers = info.exception === true && !this.handleExceptions;
    if (this.silent || isUnwanted || isOthers) {
      done();
      return;
    }
    let made = info;
    try {
      // A copy, because the other transports get the same object.
      if (this.format) made = this.format.transform(Object.assign({}, info), this.format.options);
    } catch {
      // A format that fails: the entry goes as it is.
    }
    if (made) this.log(made, done);
    else done();
  }

  /** @param {(error?: Error) => void} done */
  _final(done) {
    this.#transport.close().then(() => done(), done);
  }
}
