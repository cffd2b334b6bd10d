/**
 * What a column of the server makes of a user's value, as in Python's `entry/columns.py`: it converts the value where
 * that is natural, else declines it. One value that a column refuses would make the server refuse the whole batch.
 */

export const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
export const LOG_TYPES = ["BACKEND", "FRONTEND", "MOBILE", "IOT", "WORKER"];
export const ENVIRONMENTS = ["production", "staging", "development", "test", "local"];
const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/** Other names by which people call the levels and environments. */
const LEVEL_ALIASES = { WARNING: "WARN", CRITICAL: "FATAL", ERR: "ERROR", CRIT: "FATAL" };
const ENVIRONMENT_ALIASES = { prod: "production", stage: "staging", dev: "development", testing: "test" };

/**
 * The value for the column, undefined if it cannot hold it; and whether `metadata` keeps the value too.
 *
 * @typedef {[string | number | undefined, boolean]} Placed
 * @typedef {(value: unknown) => Placed} Rule
 */

/** @type {Placed} */
const DECLINED = [undefined, true];

/** The value as text if it has one obvious text form. @param {unknown} value */
function asText(value) {
  if (typeof value === "string") return value;
  if (typeof value === "bigint" || (typeof value === "number" && Number.isFinite(value))) return String(value);
  if (value instanceof String || value instanceof URL) return String(value);
  return undefined;
}

/**
 * The first characters of a text, which the server counts by code points.
 *
 * @param {string} text
 * @param {number} limit
 */
function beginning(text, limit) {
  return text.length <= limit ? text : Array.from(text.slice(0, limit * 2)).slice(0, limit).join("");
}

/** @param {number} [limit] @returns {Rule} */
const text = (limit = Infinity) => (value) => {
  const found = asText(value);
  if (found === undefined) return DECLINED;
  const kept = limit === Infinity ? found : beginning(found, limit);
  return [kept, kept.length < found.length];
};

/** @param {number} limit @param {(text: string) => string} [shape] @returns {Rule} */
const identifier = (limit, shape = (found) => found) => (value) => {
  const found = asText(value);
  if (found === undefined) return DECLINED;
  const shaped = shape(found);
  return beginning(shaped, limit).length < shaped.length ? DECLINED : [shaped, false];
};

/** @param {string[]} allowed @param {Record<string, string>} [aliases] @returns {Rule} */
function choice(allowed, aliases = {}) {
  const known = new Map([...Object.entries(aliases), ...allowed.map((each) => [each, each])].map(([name, each]) => [name.toLowerCase(), each]));
  return (value) => {
    const found = known.get((asText(value) ?? "").trim().toLowerCase());
    return found === undefined ? DECLINED : [found, false];
  };
}

const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;

/** @type {Rule} */
function duration(value) {
  const plain = typeof value === "string" && NUMBER.test(value) ? Number(value) : typeof value === "bigint" ? Number(value) : value;
  if (typeof plain !== "number" || !(Math.abs(plain) < 1e7)) return DECLINED;
  const milliseconds = Number(plain.toFixed(3));
  return Math.abs(milliseconds) < 1e7 ? [milliseconds, false] : DECLINED;
}

/** @param {string} id A UUID loses its dashes. */
const traceId = (id) => (/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(id) ? id.replaceAll("-", "") : id);

/**
 * Columns that a user's field of the same name can fill.
 *
 * @type {Map<string, Rule>}
 */
export const COLUMNS = new Map([
  ["log_type", choice(LOG_TYPES)],
  ["service", text(100)],
  ["environment", choice(ENVIRONMENTS, ENVIRONMENT_ALIASES)],
  ["service_version", text(50)],
  ["function_name", text(300)],
  ["file_path", text(1000)],
  ["trace_id", identifier(32, traceId)],
  ["user_id", identifier(255)],
  ["session_id", identifier(100)],
  ["error_type", text(200)],
  ["stack_trace", text()],
  ["path", text(500)],
  ["method", choice(METHODS)],
  ["action_type", text(50)],
  ["duration_ms", duration],
]);

const levels = choice(LEVELS, LEVEL_ALIASES);

/** The server's level that people call `name`, in any case; INFO for what is none. @param {unknown} name */
export const levelOf = (name) => /** @type {string} */ (levels(name)[0] ?? "INFO");
