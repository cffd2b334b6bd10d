/**
 * A transport for pino.
 *
 *     pino({ transport: { target: "logcollector-handler/pino", options: { serverUrl, service: "shop" } } })
 *     pino(collector({ serverUrl, service: "shop" }))      // import collector from "logcollector-handler/pino"
 *
 * The first form runs in pino's own thread. The second one is in the thread that logs, and loses nothing at
 * `process.exit` either.
 */
import { Writable } from "node:stream";

import { levelOf } from "./columns.js";
import { errorColumns, openTransport, timeIn } from "./node/host.js";

/** pino's number of a level, from which on it is the server's. @type {[number, string][]} */
const LEVELS = [[60, "FATAL"], [50, "ERROR"], [40, "WARN"], [30, "INFO"], [20, "DEBUG"]];

/**
 * When it was logged: pino gives milliseconds, or a text, and by an option of its own seconds or nanoseconds. Undefined if it
 * says no time.
 *
 * @param {unknown} time
 */
function secondsOf(time) {
  let at = typeof time === "number" ? time : timeIn(time);
  if (!(at > 0 && at < Infinity)) return undefined;
  while (at > 1e11) at /= 1000;
  return at;
}

/**
 * The options of a client, and where pino puts what it logs if that is not `msg` and `err`.
 *
 * @param {import("./settings.js").LogClientOptions & {serverUrl?: string, messageKey?: string, errorKey?: string}} [options]
 * @returns {Writable}
 */
export default function collector({ messageKey = "msg", errorKey = "err", ...options } = {}) {
  // pino adds options of its own, such as `$context` and `pinoWillSendConfig`.
  const own = Object.fromEntries(Object.entries(options).filter(([name]) => !/^(\$|pino)/.test(name)));
  const transport = openTransport(own);
  let rest = "";

  /** @param {string} line */
  const send = (line) => {
    /** @type {any} */
    let record;
    try {
      record = JSON.parse(line);
    } catch {
      record = { [messageKey]: line };
    }
    if (typeof record !== "object" || record === null) record = { [messageKey]: line };
    const { level, time, pid, name, [messageKey]: message = "", [errorKey]: error, ...fields } = record;
    const at = secondsOf(time);
    const isError = typeof error === "object" && error !== null && typeof error.stack === "string";
    transport.send({
      level: typeof level === "number" ? (LEVELS.find(([number]) => level >= number)?.[1] ?? "TRACE") : levelOf(level),
      message,
      time: at ?? Date.now() / 1000,
      fields: {
        ...(time !== undefined && at === undefined && { time }),
        ...fields,
        ...(isError && errorColumns(error.type, error.stack)),
        ...(error !== undefined && { [errorKey]: isError ? { ...error, stack: undefined } : error }),
      },
      origin: { ...(pid !== undefined && { process: pid }), ...(name !== undefined && { logger: name }) },
    });
  };

  return new Writable({
    decodeStrings: false,
    write(chunk, _, done) {
      const lines = (rest + chunk).split("\n");
      // What pino's thread passes on may end within a line.
      rest = lines.pop() ?? "";
      for (const line of lines) if (line) send(line);
      done();
    },
    final(done) {
      if (rest) send(rest);
      transport.close().then(() => done(), done);
    },
  });
}
