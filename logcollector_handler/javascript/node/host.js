/** What a client and the transports of other loggers stand on in Node: settings, what is masked, and the pipeline. */
import { isMainThread, threadId } from "node:worker_threads";

import { entryMaker } from "../entry.js";
import { masking } from "../patterns.js";
import { redactor } from "../redact.js";
import { readSettings } from "../settings.js";
import { frames } from "../stack.js";
import { NodePipeline } from "./pipeline.js";

/** What `metadata` says of every entry. */
export const ORIGIN = { process: process.pid, thread: isMainThread ? "main" : `worker ${threadId}` };

/**
 * @param {string | URL | undefined} serverUrl
 * @param {import("../settings.js").LogClientOptions} options
 * @param {import("./pipeline.js").Life} [life]
 */
export function openPipeline(serverUrl, options, life) {
  const settings = readSettings(serverUrl, options, { logType: "BACKEND", environment: (name) => process.env[name] });
  return { settings, pipeline: new NodePipeline(settings, life) };
}

/** What makes the entries of a client. @param {import("../settings.js").Settings} settings */
export const makerOf = ({ common, redact, redactPatterns }) => entryMaker(common, redactor(redact), masking(redactPatterns));

/**
 * How a transport of another logger sends what that logger made.
 *
 * @param {import("../settings.js").LogClientOptions & {serverUrl?: string | URL}} options
 */
export function openTransport({ serverUrl, ...options }) {
  const { settings, pipeline } = openPipeline(serverUrl, options);
  const maker = makerOf(settings);
  return {
    /** @param {{level: string, message: unknown, time: number, fields: Record<string, unknown>, origin?: Record<string, unknown>}} call */
    send({ origin, ...call }) {
      const line = maker.line({ ...call, origin: { ...ORIGIN, ...origin } });
      pipeline.send(line, call.level === "ERROR" || call.level === "FATAL");
    },
    close: () => pipeline.close(settings.shutdownTimeout),
  };
}

/** A date and a time of day, to the second, with or without a zone. Anything else can be read in several ways. */
const WHOLE = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d\d:?\d\d))?$/i;

/** The time that a text says, in milliseconds since 1970; NaN if it says none. @param {unknown} text */
export const timeIn = (text) => (typeof text === "string" && WHOLE.test(text) ? Date.parse(text) : NaN);

/**
 * The columns of an error that is only known as a type and a text.
 *
 * @param {unknown} type
 * @param {unknown} stack
 */
export function errorColumns(type, stack) {
  const [at] = frames(stack);
  return { error_type: type, stack_trace: stack, function_name: at?.function, file_path: at?.file };
}
