/**
 * The settings of a client: from its options, then from the environment where there is one, then the defaults. A wrong
 * one fails when the client is made, with a message that names it, its value and what is allowed.
 */
import { COLUMNS, ENVIRONMENTS, LOG_TYPES } from "./columns.js";
import { COMMON } from "./patterns.js";

/**
 * What `createLogClient` takes. Times are in milliseconds.
 *
 * @typedef {object} LogClientOptions
 * @property {string} [service] which part of a system logs
 * @property {string} [environment] `development` if nothing says otherwise
 * @property {string} [serviceVersion] `v0.0.0-dev`
 * @property {string} [logType] `BACKEND`, in browsers `FRONTEND`
 * @property {number} [batchSize] records of a batch at most; 1000
 * @property {number} [flushInterval] how long a record waits at most before its batch is closed; 1000
 * @property {number} [maxQueueSize] records between the caller and the worker; 10000
 * @property {boolean} [enableCompression] gzip, from 100 records on; true
 * @property {string} [apiKey] sent as `Authorization: Bearer …`
 * @property {Record<string, string>} [headers] sent with every batch
 * @property {string} [spoolDir] Node: what could not be sent when the process ends is kept here
 * @property {string[]} [redact] names of fields that are masked, at any depth, instead of the usual ones; matched by their words
 * @property {"common" | ("common" | RegExp)[]} [redactPatterns] what these match is masked in all texts, the message too; `common` is
 *   a ready set
 * @property {boolean} [enableGlobalErrorHandler] log errors that nobody caught; true
 * @property {boolean} [autoCaller] entries say which function logged; true
 * @property {number} [timeout] of one request; 5000
 * @property {number} [shutdownTimeout] the longest that the end of the process may take; 5000
 *
 * @typedef {object} Settings
 * @property {string} url where batches are posted
 * @property {string} server the same for people, without secrets
 * @property {string} base the URL that was given, without a slash at its end
 * @property {import("./entry.js").Common} common
 * @property {number} batchSize
 * @property {number} flushInterval
 * @property {number} maxQueueSize
 * @property {boolean} enableCompression
 * @property {Record<string, string>} headers
 * @property {string | undefined} spoolDir
 * @property {string[] | undefined} redact
 * @property {("common" | RegExp)[]} redactPatterns
 * @property {boolean} enableGlobalErrorHandler
 * @property {boolean} autoCaller
 * @property {number} timeout
 * @property {number} shutdownTimeout
 */

/** @type {Record<string, number>} */
const NUMBERS = { batchSize: 1000, flushInterval: 1000, maxQueueSize: 10_000, timeout: 5000, shutdownTimeout: 5000 };
/** A timer waits for no longer, in milliseconds: for more it would not wait at all. */
const MOST = 2 ** 31 - 1;
const TIMES = ["flushInterval", "timeout", "shutdownTimeout"];
/** @type {Record<string, boolean>} */
const SWITCHES = { enableCompression: true, enableGlobalErrorHandler: true, autoCaller: true };
const TEXTS = ["service", "environment", "serviceVersion", "logType", "apiKey", "spoolDir"];
/** What HTTP allows. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
const HEADER = /^[\t\x20-\x7e\x80-\xff]*$/;
const NAMES = [...Object.keys(NUMBERS), ...Object.keys(SWITCHES), ...TEXTS, "headers", "redact", "redactPatterns"];

/** @param {string} name @param {unknown} value @param {string} allowed @returns {never} */
function refuse(name, value, allowed) {
  const shown = name === "apiKey" || name === "headers" ? "not that" : inWords(value);
  throw new TypeError(`${name} is ${shown}; allowed: ${allowed}`);
}

/** @param {unknown} value */
function inWords(value) {
  try {
    return (typeof value === "bigint" ? undefined : JSON.stringify(value)) ?? String(value);
  } catch {
    // A cycle, or an object that cannot be read.
    return `of the type ${typeof value}`;
  }
}

/**
 * @param {string | URL | undefined} serverUrl
 * @param {LogClientOptions} options
 * @param {object} host
 * @param {string} host.logType the default
 * @param {string} [host.base] what a relative URL is relative to
 * @param {(name: string) => string | undefined} [host.environment] a variable of the environment
 * @returns {Settings}
 */
export function readSettings(serverUrl, options, { logType, base, environment = () => undefined }) {
  const given = /** @type {Record<string, any>} */ ({ ...options });
  for (const name of Object.keys(given)) {
    if (!NAMES.includes(name)) throw new TypeError(`${name} is no option; there are: ${NAMES.join(", ")}`);
  }
  for (const name of NAMES) given[name] ??= fromEnvironment(name, environment);
  const { url, text } = readUrl(serverUrl ?? (environment("LOGCOLLECTOR_SERVER_URL") || "http://localhost:8000"), base);
  for (const [name, value] of Object.entries(NUMBERS)) {
    const number = given[name] ?? value;
    const least = name === "flushInterval" || name === "shutdownTimeout" ? 0 : 1;
    if (typeof number !== "number" || !(number >= least) || number > MOST) refuse(name, number, `a number from ${least} on, up to ${MOST}`);
    given[name] = TIMES.includes(name) ? number : Math.floor(number);
  }
  for (const [name, value] of Object.entries(SWITCHES)) {
    given[name] ??= value;
    if (typeof given[name] !== "boolean") refuse(name, given[name], "true, false");
  }
  for (const name of TEXTS) {
    if (given[name] !== undefined && typeof given[name] !== "string") refuse(name, given[name], "text");
  }
  const { apiKey, headers = {} } = given;
  if (typeof headers !== "object" || Object.values(headers).some((each) => typeof each !== "string")) {
    refuse("headers", headers, "an object of texts");
  }
  // No request could be made with others.
  if (apiKey !== undefined && !HEADER.test(apiKey)) refuse("apiKey", apiKey, "text without line ends");
  if (!Object.entries(headers).every(([name, value]) => HEADER_NAME.test(name) && HEADER.test(value))) {
    refuse("headers", headers, "names of headers, and texts without line ends");
  }
  const { redact } = given;
  if (redact !== undefined && !(Array.isArray(redact) && redact.every((each) => typeof each === "string"))) {
    refuse("redact", redact, "a list of names");
  }
  const common = {
    service: column("service", given.service || environment("OTEL_SERVICE_NAME") || undefined, "text of up to 100 characters"),
    environment: /** @type {string} */ (column("environment", given.environment ?? "development", ENVIRONMENTS.join(", "))),
    serviceVersion: /** @type {string} */ (column("serviceVersion", given.serviceVersion ?? "v0.0.0-dev", "text of up to 50 characters")),
    logType: /** @type {string} */ (column("logType", given.logType ?? logType, LOG_TYPES.join(", "))),
  };
  const shown = new URL(url);
  shown.username = shown.password = "";
  return {
    url: postedTo(url),
    server: shown.href.replace(/\/$/, ""),
    base: (base ? url.href : text).replace(/\/+$/, ""),
    common,
    headers: apiKey ? { Authorization: `Bearer ${apiKey}`, ...headers } : headers,
    batchSize: given.batchSize,
    flushInterval: given.flushInterval,
    maxQueueSize: given.maxQueueSize,
    timeout: given.timeout,
    redact,
    redactPatterns: readPatterns(given.redactPatterns ?? []),
    shutdownTimeout: given.shutdownTimeout,
    enableCompression: given.enableCompression,
    enableGlobalErrorHandler: given.enableGlobalErrorHandler,
    autoCaller: given.autoCaller,
    spoolDir: given.spoolDir,
  };
}

/** @param {unknown} given @returns {("common" | RegExp)[]} */
function readPatterns(given) {
  const patterns = given === COMMON ? [given] : given;
  if (Array.isArray(patterns)) {
    for (const each of patterns) {
      if (each === COMMON) continue;
      if (!(each instanceof RegExp)) refuse("redactPatterns", each, `${COMMON}, or a list of regular expressions and ${COMMON}`);
      if (new RegExp(each).test("")) refuse("redactPatterns", String(each), "a regular expression that matches some letters: it matches empty text");
    }
    return patterns;
  }
  return refuse("redactPatterns", given, `${COMMON}, or a list of regular expressions and ${COMMON}`);
}

/** @param {URL} url */
function postedTo(url) {
  const posted = new URL(url);
  posted.pathname = `${posted.pathname.replace(/\/+$/, "")}/logs`;
  return posted.href;
}

/** @param {string | URL} given @param {string} [base] */
function readUrl(given, base) {
  try {
    const text = String(given).trim();
    const url = new URL(text, base);
    // `URL` repairs what is none, such as `http:host`, but the spool's directory is named by the text.
    const isWhole = base || /^https?:\/\/[^\s/\\]\S*$/i.test(text);
    if (isWhole && /^https?:$/.test(url.protocol) && !url.search && !url.hash) return { url, text };
  } catch {
    // Refused below: the value may hold a password, so it is not shown.
  }
  throw new TypeError("the server's URL is not one; allowed: an http or https URL, without ? and #");
}

/** The value as the column of that name holds it. @param {string} name @param {string | undefined} value @param {string} allowed */
function column(name, value, allowed) {
  if (value === undefined) return undefined;
  const [placed, kept] = COLUMNS.get(name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`))?.(value) ?? [];
  if (placed === undefined || kept) refuse(name, value, allowed);
  return String(placed);
}

/**
 * The variable is that of the Python handler, where times are in seconds.
 *
 * @param {string} name
 * @param {(name: string) => string | undefined} environment
 * @returns {unknown}
 */
function fromEnvironment(name, environment) {
  const value = environment(`LOGCOLLECTOR_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`);
  if (value === undefined || value === "") return undefined;
  if (name in NUMBERS) return Number(value) * (TIMES.includes(name) ? 1000 : 1);
  if (name in SWITCHES) return /^(true|1|yes|on)$/i.test(value) || (/^(false|0|no|off)$/i.test(value) ? false : value);
  if (!["headers", "redact", "redactPatterns"].includes(name)) return value;
  try {
    const parsed = JSON.parse(value);
    const isPattern = (/** @type {unknown} */ each) => typeof each === "string" && each !== COMMON;
    return name === "redactPatterns" ? parsed.map((/** @type {any} */ each) => (isPattern(each) ? new RegExp(each) : each)) : parsed;
  } catch {
    return value;
  }
}
