/**
 * Measures this client beside others, and prints the table of README.md:
 *
 *     npm install pino winston @logtail/node @logtail/pino @opentelemetry/sdk-logs @opentelemetry/exporter-logs-otlp-http
 *     npm install "$(python -c 'import logcollector_handler as package; print(package.__path__[0])')/javascript"
 *     node compare.mjs
 *
 * Each measurement is a process of its own, against a server in this one that counts the records that arrive.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const ME = fileURLToPath(import.meta.url);
const LOST_OF = 2500;
const CONTENDERS = {
  "this client": { make: "ours", options: {} },
  "this client, `autoCaller: false`": { make: "ours", options: { autoCaller: false } },
  "pino + this transport, in the thread that logs": { make: "pinoOurs", options: {} },
  "pino + @logtail/pino": { make: "pinoLogtail" },
  "winston + its Http transport, batched": { make: "winston" },
  "@logtail/node": { make: "logtail" },
  "OpenTelemetry SDK, OTLP/HTTP": { make: "otel" },
};

/** How a contender is made: what logs one record, and what waits until all is sent. */
const MAKERS = {
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
  async pinoLogtail(url) {
    const { default: pino } = await import("pino");
    const options = { sourceToken: "token", options: { endpoint: url, sendLogsToBetterStack: true } };
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
  async logtail(url) {
    const { Logtail } = await import("@logtail/node");
    const log = new Logtail("token", { endpoint: url, sendLogsToConsoleOutput: false, batchSize: 1000, batchInterval: 1000 });
    return { log: (text, number) => void log.info(text, { number, order: "A-1", amount: 99.5 }), flush: () => log.flush() };
  },
  async otel(url) {
    const { BatchLogRecordProcessor, LoggerProvider } = await import("@opentelemetry/sdk-logs");
    const { OTLPLogExporter } = await import("@opentelemetry/exporter-logs-otlp-http");
    const exporter = new OTLPLogExporter({ url: `${url}/v1/logs` });
    let processor;
    try {
      processor = new BatchLogRecordProcessor({ exporter });
      if (!processor.forceFlush) throw new Error();
    } catch {
      processor = new BatchLogRecordProcessor(exporter);
    }
    const provider = new LoggerProvider({ processors: [processor] });
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
    await burst(20_000);
    console.log(JSON.stringify((threadTime() - start) / 20_000));
    process.kill(process.pid, "SIGKILL");
  },
  /** How many of 30,000 records that come 500 at a time do not arrive. */
  async burst({ log, flush }, url) {
    for (let number = 0; number < 30_000; number++) {
      log(`record-${number}-`, number);
      if (number % 500 === 499) await new Promise((resolve) => setImmediate(resolve));
    }
    await flush?.();
    let arrived = 0;
    for (let last = performance.now(); arrived < 30_000 && performance.now() - last < 4000; await sleep(20)) {
      const now = await (await fetch(`${url}/count`)).json();
      if (now > arrived) [arrived, last] = [now, performance.now()];
    }
    console.log(JSON.stringify(30_000 - arrived));
    process.kill(process.pid, "SIGKILL");
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

if (process.argv[2]) {
  const [, , contender, measure, url] = process.argv;
  const made = await MAKERS[CONTENDERS[contender].make](url, CONTENDERS[contender].options);
  if (!["cost", "burst"].includes(measure)) {
    for (let number = 0; number < LOST_OF; number++) made.log(`record-${number}-`, number);
  }
  // Outside of this module's promise, as an application would end.
  setImmediate(() => MEASURES[measure](made, url));
} else {
  await compare();
}

async function compare() {
  const arrived = new Set();
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      if (request.url === "/count") return response.end(String(arrived.size));
      let body = Buffer.concat(parts);
      if (request.headers["content-encoding"] === "gzip") body = gunzipSync(body);
      for (const [record] of body.toString("latin1").matchAll(/record-\d+-/g)) arrived.add(record);
      response.setHeader("Content-Type", "application/json");
      response.end("{}");
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;

  /** What the process prints, and how many records had arrived a second after its end. */
  const run = (contender, measure) => new Promise((resolve) => {
    arrived.clear();
    const child = spawn(process.execPath, [ME, contender, measure, url], { stdio: ["ignore", "pipe", "ignore"] });
    let out = "";
    child.stdout.on("data", (part) => (out += part));
    const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
    child.on("close", async () => {
      clearTimeout(timer);
      await sleep(300);
      resolve([Number(out.trim().split("\n").at(-1)), arrived.size]);
    });
  });
  const median = async (contender, measure) => {
    const found = [];
    for (let round = 0; round < 3; round++) found.push((await run(contender, measure))[0]);
    return found.sort((one, other) => one - other)[1];
  };

  console.log("| | µs a call | lost of a burst of 30,000 | lost at the end of the script | `process.exit` | throw | SIGTERM |");
  console.log("|---|---|---|---|---|---|---|");
  for (const contender of Object.keys(CONTENDERS)) {
    const cost = await median(contender, "cost");
    const lost = [await median(contender, "burst")];
    for (const end of ["natural", "exit", "throw", "sigterm"]) lost.push(LOST_OF - (await run(contender, end))[1]);
    console.log(`| ${contender} | ${cost.toFixed(1)} | ${lost.join(" | ")} |`);
  }
  server.close();
}
