/**
 * The client for Node.
 *
 *     import { createLogClient } from "logcollector-handler";
 *     const log = createLogClient("http://localhost:8000", { service: "shop" });
 *     log.info("order placed", { user_id: 12345, amount: 99.5 });
 *
 * A worker thread sends. The end of the process loses nothing within `shutdownTimeout`; see `node/ends.js`.
 */
import { AsyncLocalStorage } from "node:async_hooks";

import { LogClient } from "./client.js";
import { ORIGIN, makerOf, openPipeline } from "./node/host.js";

export { LogClient };

/**
 * @typedef {import("./settings.js").LogClientOptions} LogClientOptions
 * @typedef {import("./client.js").Fields} Fields
 * @typedef {import("./client.js").Stats} Stats
 * @typedef {import("./node/pipeline.js").NodePipeline} NodePipeline
 */

/**
 * The fields that are bound. All clients see them, because a request has them whoever logs in it.
 *
 * @type {AsyncLocalStorage<Record<string, any> | undefined>}
 */
const bound = new AsyncLocalStorage();

/** Clients that log what nobody caught, by their pipelines. @type {WeakMap<NodePipeline, LogClient>} */
const clients = new WeakMap();
/** The pipelines of those that are not closed. @type {Set<NodePipeline>} */
const watching = new Set();

/** It only looks: the process ends as it would without it. @param {Error} error @param {string} origin */
function watch(error, origin) {
  for (const pipeline of watching) clients.get(pipeline)?.log("FATAL", error, { uncaught: origin });
}

/** @type {import("./node/pipeline.js").Life} */
const LIFE = {
  began(pipeline) {
    if (!clients.has(pipeline)) return;
    if (watching.size === 0) process.on("uncaughtExceptionMonitor", watch);
    watching.add(pipeline);
  },
  ended(pipeline) {
    watching.delete(pipeline);
    if (watching.size === 0) process.off("uncaughtExceptionMonitor", watch);
  },
};

/**
 * A client that sends to a log collection server. Options that are not given are read from the environment, where they
 * have the names of the Python handler's settings: `LOGCOLLECTOR_SERVICE`, `LOGCOLLECTOR_API_KEY` …
 *
 * @param {string | URL} [serverUrl]
 * @param {LogClientOptions} [options]
 * @returns {LogClient}
 */
export function createLogClient(serverUrl, options = {}) {
  const host = openPipeline(serverUrl, options, LIFE);
  const client = new LogClient({
    ...host,
    context: {
      get: () => bound.getStore(),
      set: (fields) => bound.enterWith(fields),
      run: (fields, run) => bound.run(fields, run),
    },
    maker: makerOf(host.settings),
    origin: ORIGIN,
  });
  if (host.settings.enableGlobalErrorHandler) {
    clients.set(host.pipeline, client);
    LIFE.began(host.pipeline);
  }
  return client;
}
