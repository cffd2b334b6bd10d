/**
 * The client for browsers.
 *
 *     import { createLogClient } from "/logs-relay/browser.js";
 *     const log = createLogClient("/logs-relay", { serviceVersion: "web-42" });
 *     log.info("cart opened", { items: 3 });
 *
 * The page takes snapshots and gathers them; a worker makes entries and batches of them, keeps these in IndexedDB until
 * they are settled, and sends them. What the worker has not kept when the page is left goes into localStorage, and what it
 * has not sent yet goes out with `keepalive`; what is left then is sent by the next visit.
 */
import { LogClient } from "./client.js";
import { snapshots } from "./page.js";
import { Pipeline } from "./pipeline.js";

/** The options that the page itself looks at; the worker checks all of them. */
const DEFAULTS = {
  batchSize: 1000,
  flushInterval: 1000,
  maxQueueSize: 10_000,
  shutdownTimeout: 5000,
  enableGlobalErrorHandler: true,
  autoCaller: true,
};

/**
 * Make a client. Options that are wrong are told on the console.
 *
 * @param {string | URL} serverUrl may be relative to the page
 * @param {import("./settings.js").LogClientOptions} [options]
 */
export function createLogClient(serverUrl, options = {}) {
  if (!serverUrl) throw new TypeError("the server's URL is missing");
  const settings = { ...DEFAULTS, ...options };
  for (const [name, value] of Object.entries(DEFAULTS)) {
    const given = (/** @type {any} */ (settings)[name] ??= value);
    if (typeof given !== typeof value) throw new TypeError(`${name} is ${given}; allowed: a ${typeof value}`);
  }
  const url = new URL(serverUrl, location.href).href;
  const traceparent = document.querySelector('meta[name="traceparent"]')?.getAttribute("content");
  const trace_id = traceparent?.split("-")[1];
  /** @type {Record<string, any> | undefined} */
  let bound;
  const client = new LogClient({
    settings,
    maker: snapshots(() => ({ path: location.pathname, trace_id })),
    pipeline: new Pipeline(url, options, settings),
    context: {
      get: () => bound,
      set: (fields) => {
        bound = fields;
      },
      run: (fields, run) => {
        const before = bound;
        bound = fields;
        try {
          return run();
        } finally {
          bound = before;
        }
      },
    },
  });
  if (settings.enableGlobalErrorHandler) {
    addEventListener("error", ({ error, message }) => client.errorWithTrace(message, error ?? message));
    addEventListener("unhandledrejection", ({ reason }) => client.errorWithTrace("unhandled rejection", reason ?? "undefined"));
  }
  return client;
}
