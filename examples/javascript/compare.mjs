/**
 * Measures this client beside others, and prints the table of README.md:
 *
 *     npm install pino winston @logtail/node @logtail/pino @opentelemetry/sdk-logs @opentelemetry/exporter-logs-otlp-http
 *     npm install "$(python -c 'import logcollector_handler as package; print(package.__path__[0])')/javascript"
 *     node compare.mjs            # minutes; the table is printed, and what is under way on stderr
 *     node compare.mjs --quick    # one round of few records: it shows that all works, and its figures say little
 *
 * Each measurement is a process of its own, against a server in this one that counts the records that arrive, each once.
 * The contenders take turns: all of them once, then all of them again.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const ME = fileURLToPath(import.meta.url);
const QUICK = process.argv.includes("--quick") || process.env.QUICK === "1";
const ROUNDS = QUICK ? 1 : 3;
const LOST_OF = 2500;
/** Records of each measurement, and milliseconds without a new one after which no more is expected. */
const COSTED = QUICK ? 2000 : 20_000;
const BURST = QUICK ? 15_000 : 30_000;
const PACED = QUICK ? 5000 : 20_000;
const FAST = QUICK ? 10_000 : 100_000;
const IDLE = 4000;
/** The same where nothing should be lost: a contender may first look at all that was logged, and only then send. */
const LONG_IDLE = 20_000;
/** Calls a millisecond of the measurement of single calls. */
const PACE = 10;
/** A call that does nothing: what the measurement itself costs. */
const FLOOR = "no logger";
const CONTENDERS = {
  [FLOOR]: { make: "none" },
  "this client": { make: "ours", options: {} },
  "this client, `autoCaller: false`": { make: "ours", options: { autoCaller: false } },
  "pino + this transport, in the thread that logs": { make: "pinoOurs", options: {} },
  "pino + @logtail/pino": { make: "pinoLogtail" },
  "winston + its Http transport, batched": { make: "winston" },
  "@logtail/node": { make: "logtail" },
  "OpenTelemetry SDK, OTLP/HTTP": { make: "otel" },
};

/**
 * How a contender is made: what logs one record, and what waits until all is sent. `roomy`: what it drops at its defaults
 * when much comes at once is kept.
 */
const MAKERS = {
  async none() {
    return { log: () => {} };
  },
  async ours(url, options) {
    const { createLogClient } = await import("logcollector-handler");
    const log = createLogClient(url, { service: "bench", ...options });
    return { log: (text, number) => log.info(text, { number, order: "A-1", amount: 99.5 }), flush: () => log.flush(60_000) };
  },
  async pinoOurs(url) {
    const { default: pino } = await import("pino");
    const { default: collector } = await import("logcollector-handler/pino");
    const log = pino(collector({ serverUrl: url, service: "bench" }));
    return { log: (text, number) => log.info({ number, order: "A-1", amount: 99.5 }, text) };
  },
  async pinoLogtail(url, _, roomy) {
    const { default: pino } = await import("pino");
    const inner = { endpoint: url, sendLogsToBetterStack: true, ...(roomy && { burstProtectionMax: 0 }) };
    const options = { sourceToken: "token", options: inner };
    const log = pino({ transport: { target: "@logtail/pino", options } });
    return { log: (text, number) => log.info({ number, order: "A-1", amount: 99.5 }, text) };
  },
  async winston(url) {
    const { default: winston } = await import("winston");
    const { hostname: host, port } = new URL(url);
    const transport = new winston.transports.Http({ host, port: Number(port), path: "/logs", batch: true, batchCount: 1000, batchInterval: 1000 });
    const log = winston.createLogger({ transports: [transport] });
    return { log: (text, number) => log.info(text, { number, order: "A-1", amount: 99.5 }) };
  },
  async logtail(url, _, roomy) {
    const { Logtail } = await import("@logtail/node");
    const options = { endpoint: url, sendLogsToConsoleOutput: false, batchSize: 1000, batchInterval: 1000 };
    const log = new Logtail("token", { ...options, ...(roomy && { burstProtectionMax: 0 }) });
    return { log: (text, number) => void log.info(text, { number, order: "A-1", amount: 99.5 }), flush: () => log.flush() };
  },
  async otel(url, _, roomy) {
    const { BatchLogRecordProcessor, LoggerProvider } = await import("@opentelemetry/sdk-logs");
    const { OTLPLogExporter } = await import("@opentelemetry/exporter-logs-otlp-http");
    const exporter = new OTLPLogExporter({ url: `${url}/v1/logs` });
    const room = roomy ? { maxQueueSize: 2 * FAST } : {};
    const provider = new LoggerProvider({ processors: [new BatchLogRecordProcessor({ exporter, ...room })] });
    const logger = provider.getLogger("bench");
    return {
      log: (text, number) => logger.emit({ body: text, severityNumber: 9, attributes: { number, order: "A-1", amount: 99.5 } }),
      flush: () => provider.forceFlush(),
    };
  },
};

/** µs of processor time of the main thread; where this is not Linux, of the process. */
function threadTime() {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ")[0]) / 1000;
  } catch {
    const { user, system } = process.cpuUsage();
    return user + system;
  }
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Say what was measured, and end without any other work. */
function finish(measured) {
  console.log(JSON.stringify(measured));
  process.kill(process.pid, "SIGKILL");
}

async function logFast({ log, flush }, end, first = 0) {
  for (let number = first; number < end; number++) {
    log(`record-${number}-`, number);
    if (number % 500 === 499) await turn();
  }
  await flush?.();
}

/** How many records have arrived, and when the last one did: after so many, or when nothing comes any more. */
async function arrived(expected, url, idle = IDLE) {
  for (let before = -1, since = 0; ; await sleep(20)) {
    const now = await (await fetch(`${url}/count`)).json();
    if (now.count > before) [before, since] = [now.count, performance.now()];
    if (now.count >= expected || performance.now() - since > idle) return now;
  }
}

/** What is measured in a process of its own. */
const MEASURES = {
  /** µs of processor time that the calling thread takes for a record, with what it does for it later. */
  async cost({ log }) {
    const burst = async (count) => {
      for (let number = 0; number < count; number++) {
        log("warm", number);
        if (number % 500 === 499) await sleep(20);
      }
      await sleep(1500);
    };
    await burst(3000);
    const start = threadTime();
    await burst(COSTED);
    finish((threadTime() - start) / COSTED);
  },
  /**
   * The 99.9th percentile, in µs, of the time from when a call was due until it had returned, at 10,000 calls a second. So
   * whatever else keeps the calling thread from a call counts, such as sending.
   */
  async paced({ log }) {
    const run = async (count) => {
      const took = new Float64Array(count);
      const start = performance.now();
      for (let number = 0; number < count; ) {
        const due = start + number / PACE;
        if (performance.now() < due) await turn();
        else {
          log(`paced-${number}-`, number);
          took[number++] = performance.now() - due;
        }
      }
      return took.sort()[Math.floor(count * 0.999)];
    };
    await run(PACED / 3);
    finish((await run(PACED)) * 1000);
  },
  /** How many of many records that come 500 at a time do not arrive. */
  async burst(made, url) {
    await logFast(made, BURST);
    finish(BURST - (await arrived(BURST, url)).count);
  },
  /** How many records a second arrive when many come 500 at a time, from the first call to the last arrival. */
  async fast(made, url) {
    for (let number = 0; number < 100; number++) made.log(`record-${number}-`, number);
    await made.flush?.();
    // What runs beside it is up by then, however long that takes.
    while ((await arrived(100, url)).count < 100);
    const start = Date.now();
    await logFast(made, FAST + 100, 100);
    const { count, last } = await arrived(FAST + 100, url, LONG_IDLE);
    finish((count - 100) / ((last - start) / 1000));
  },
  async natural() {},
  async exit() {
    process.exit(0);
  },
  async throw() {
    throw new Error("boom");
  },
  async sigterm() {
    process.kill(process.pid, "SIGTERM");
    setInterval(() => {}, 1000);
  },
};

const ENDS = ["natural", "exit", "throw", "sigterm"];

if (process.argv.length > 4) {
  const [, , contender, measure, url] = process.argv;
  const isRoomy = ["paced", "fast"].includes(measure);
  const made = await MAKERS[CONTENDERS[contender].make](url, CONTENDERS[contender].options, isRoomy);
  if (ENDS.includes(measure)) {
    for (let number = 0; number < LOST_OF; number++) made.log(`record-${number}-`, number);
  }
  // Outside of this module's promise, as an application would end.
  setImmediate(() => MEASURES[measure](made, url));
} else {
  await compare();
}

async function compare() {
  const seen = new Set();
  let last = 0;
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      if (request.url === "/count") return response.end(JSON.stringify({ count: seen.size, last }));
      let body = Buffer.concat(parts);
      if (request.headers["content-encoding"] === "gzip") body = gunzipSync(body);
      for (const [record] of body.toString("latin1").matchAll(/record-\d+-/g)) seen.add(record);
      last = Date.now();
      response.setHeader("Content-Type", "application/json");
      response.end("{}");
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;

  /** What the process prints, and how many records had arrived a while after its end. */
  const run = (contender, measure) => new Promise((resolve) => {
    seen.clear();
    const options = { stdio: ["ignore", "pipe", "ignore"], env: { ...process.env, QUICK: QUICK ? "1" : "" } };
    const child = spawn(process.execPath, [ME, contender, measure, url], options);
    let out = "";
    child.stdout.on("data", (part) => (out += part));
    const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
    child.on("close", async () => {
      clearTimeout(timer);
      await sleep(300);
      resolve([out ? Number(out.trim().split("\n").at(-1)) : NaN, seen.size]);
    });
  });

  /** What was measured in each round, by contender and measure. */
  const found = Object.fromEntries(Object.keys(CONTENDERS).map((name) => [name, {}]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of Object.keys(CONTENDERS)) {
      console.error(`round ${round + 1} of ${ROUNDS}: ${name}`);
      for (const measure of name === FLOOR ? ["cost", "paced"] : ["cost", "paced", "fast", "burst"]) {
        (found[name][measure] ??= []).push((await run(name, measure))[0]);
      }
      // How many are lost at an end is no matter of chance.
      if (round > 0 || name === FLOOR) continue;
      for (const end of ENDS) found[name][end] = [LOST_OF - (await run(name, end))[1]];
    }
  }
  server.close();

  const median = (figures = []) => [...figures].sort((one, other) => one - other)[figures.length >> 1];
  const shown = (figure, digits = 0) => (figure === undefined ? "" : Number.isNaN(figure) ? "it did not end" : figure.toFixed(digits));
  console.log(`| | µs a call | p99.9, µs | records/s | lost of a burst of ${BURST} | lost at the end of the script | \`process.exit\` | throw | SIGTERM |`);
  console.log("|---|---|---|---|---|---|---|---|---|");
  for (const [name, figures] of Object.entries(found)) {
    const cells = [shown(median(figures.cost), 1), ...["paced", "fast", "burst", ...ENDS].map((measure) => shown(median(figures[measure])))];
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
}
