/** What people call: levels, errors, timers, context, children, settings. Entries go into a list. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";

import { LogClient } from "../../logcollector_handler/javascript/client.js";
import { entryMaker } from "../../logcollector_handler/javascript/entry.js";
import { destination } from "../../logcollector_handler/javascript/node/spool.js";
import { readSettings } from "../../logcollector_handler/javascript/settings.js";

function client(options = {}) {
  const entries = [];
  const bound = new AsyncLocalStorage();
  const settings = readSettings("http://server", options, { logType: "BACKEND" });
  const log = new LogClient({
    settings,
    pipeline: { send: (line, urgent) => entries.push({ ...JSON.parse(line), urgent }), flush: async () => true, close: async () => true, stats: () => ({}) },
    context: { get: () => bound.getStore(), set: (fields) => bound.enterWith(fields), run: (fields, run) => bound.run(fields, run) },
    maker: entryMaker(settings.common),
    origin: {},
  });
  return { log, entries };
}

test("each level has a method, and log takes any name of a level", () => {
  const { log, entries } = client();
  for (const level of ["trace", "debug", "info", "warn", "error", "fatal"]) log[level](level, { a: 1 });
  for (const level of ["warning", "CRITICAL", "Info", "nonsense"]) log.log(level, level);
  assert.deepEqual(entries.map((each) => each.level), ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "WARN", "FATAL", "INFO", "INFO"]);
  assert.deepEqual(entries.map((each) => each.urgent), [false, false, false, false, true, true, false, true, false, false]);
  assert.equal(entries[0].metadata.a, 1);
});

test("an entry says which function logged, and where", async () => {
  const { log, entries } = client();
  await (async function buy() {
    log.info("x");
    log.log("INFO", "x");
    log.child({}).error("x");
    log.endTimer(log.startTimer());
    log.measure(() => {});
    await log.measure(async () => {});
  })();
  assert.equal(entries.length, 6);
  for (const each of entries) {
    assert.equal(each.function_name, "buy");
    assert.match(each.file_path, /client\.test\.mjs$/);
    assert.equal(typeof each.metadata.line, "number");
  }
  assert.equal(entries[1].metadata.line, entries[0].metadata.line + 1);
});

test("without autoCaller it does not, and the limit of stack traces is left as it was", () => {
  const { log, entries } = client({ autoCaller: false });
  log.info("x");
  assert.equal(entries[0].file_path, undefined);
  const before = Error.stackTraceLimit;
  client().log.info("x");
  assert.equal(Error.stackTraceLimit, before);
});

test("errorWithTrace has the trace of the error, and the place where it was thrown", () => {
  const { log, entries } = client();
  function pay() {
    throw new RangeError("no", { cause: new Error("why") });
  }
  try {
    pay();
  } catch (error) {
    log.errorWithTrace("failed", error, { user_id: 5 });
  }
  log.errorWithTrace("failed");
  const [{ message, level, error_type, stack_trace, function_name, user_id }, other] = entries;
  assert.deepEqual([message, level, error_type, function_name, user_id], ["failed", "ERROR", "RangeError", "pay", "5"]);
  assert.match(stack_trace, /^RangeError: no\n[^]*\nCaused by: Error: why\n/);
  assert.match(other.stack_trace, /^Error: failed\n/);
});

test("an error that is all there is gives its own trace", () => {
  const { log, entries } = client();
  log.errorWithTrace(new RangeError("no"));
  assert.deepEqual([entries[0].message, entries[0].error_type], ["RangeError: no", "RangeError"]);
});

test("no value that cannot be read, nor made text, throws", () => {
  const { log, entries } = client();
  log.endTimer(log.startTimer(), "INFO", "query", { get boom() { throw new Error("boom"); }, kept: 1 });
  log.errorWithTrace(Object.create(null));
  log.log(Object.create(null), "x");
  assert.deepEqual(entries.map((each) => each.level), ["INFO", "ERROR", "INFO"]);
  assert.equal(entries[0].metadata.kept, 1);
  assert.equal(typeof entries[0].duration_ms, "number");
});

test("a timer logs its time, and returns it", () => {
  const { log, entries } = client();
  const time = log.endTimer(log.startTimer(), "DEBUG", "query", { rows: 3 });
  assert.equal(entries[0].duration_ms, Number(time.toFixed(3)));
  assert.deepEqual([entries[0].level, entries[0].message, entries[0].metadata.rows], ["DEBUG", "query", 3]);
});

test("measure logs what a function takes and passes on what it returns or throws", async () => {
  const { log, entries } = client();
  assert.equal(log.measure(() => 5, "sync"), 5);
  assert.equal(await log.measure(async () => 6, "async", "DEBUG"), 6);
  const error = new TypeError("no");
  const fail = () => {
    throw error;
  };
  assert.throws(() => log.measure(fail), (thrown) => thrown === error);
  await assert.rejects(log.measure(async () => fail(), "later"), (thrown) => thrown === error);
  assert.throws(() => log.measure(() => { throw undefined; }, "nothing")); // eslint-disable-line no-throw-literal
  assert.deepEqual(entries.map((each) => [each.message, each.level, each.error_type]), [
    ["sync", "INFO", undefined], ["async", "DEBUG", undefined], ["fail", "ERROR", "TypeError"], ["later", "ERROR", "TypeError"],
    ["nothing", "ERROR", "Error"],
  ]);
  assert.ok(entries.every((each) => typeof each.duration_ms === "number"));
});

test("a context holds across awaits, nests, and does not leak", async () => {
  const { log, entries } = client();
  await Promise.all([1, 2].map((user_id) => log.runWithContext({ user_id, nested: { a: 1 } }, async () => {
    await new Promise((resolve) => setTimeout(resolve, 2));
    log.runWithContext({ session_id: "s" }, () => log.info("inner"));
    log.setContext({ path: "/a" });
    log.info("set", { nested: 2 });
    log.clearContext();
    log.info("cleared");
  })));
  log.info("outside");
  const shown = entries.map((each) => [each.message, each.user_id, each.session_id, each.path, each.metadata.nested]);
  for (const user of ["1", "2"]) {
    assert.ok(shown.some((each) => JSON.stringify(each) === JSON.stringify(["inner", user, "s", undefined, { a: 1 }])));
    assert.ok(shown.some((each) => JSON.stringify(each) === JSON.stringify(["set", user, undefined, "/a", 2])));
  }
  assert.deepEqual(shown.at(-1), ["outside", undefined, undefined, undefined, undefined]);
});

test("a child has its fields and its parent's, the call's win, and they are as they were when it was made", () => {
  const { log, entries } = client();
  const fields = { a: { b: 1 }, user_id: 5 };
  const child = log.child(fields).child({ c: 2 });
  fields.a.b = "later";
  child.info("x", { c: 3 });
  log.info("y");
  assert.deepEqual([entries[0].metadata.a, entries[0].metadata.c, entries[0].user_id], [{ b: 1 }, 3, "5"]);
  assert.equal(entries[1].user_id, undefined);
});

test("contexts and children of strange values throw nothing", () => {
  const { log, entries } = client();
  const loop = {};
  loop.loop = loop;
  for (const fields of [null, undefined, 5, "x", [1], loop, new Proxy({}, { ownKeys() { throw new Error("no"); } })]) {
    log.child(fields).info("x");
    log.runWithContext(fields, () => log.info("x"));
  }
  assert.equal(entries.length, 14);
});

const WRONG = [
  [{ batchSize: 0 }, /batchSize is 0; allowed: a number from 1 on/],
  [{ batchSize: "5" }, /batchSize is "5"/],
  [{ batchSize: 5n }, /batchSize is 5; allowed/],
  [{ batchSize: Symbol("s") }, /batchSize is Symbol\(s\); allowed/],
  [{ service: { toJSON() { throw new Error("boom"); } } }, /service is of the type object; allowed: text/],
  [{ shutdownTimeout: 2 ** 31 }, /shutdownTimeout is 2147483648; allowed: a number from 0 on, up to 2147483647/],
  [{ timeout: Infinity }, /timeout/],
  [{ flushInterval: NaN }, /flushInterval/],
  [{ environment: "moon" }, /environment is "moon"; allowed: production, staging/],
  [{ logType: "x" }, /logType/],
  [{ service: "s".repeat(101) }, /service/],
  [{ service: 5 }, /service is 5; allowed: text/],
  [{ enableCompression: "yes" }, /enableCompression/],
  [{ headers: { a: 1 } }, /headers is not that/],
  [{ headers: { a: "b\n" } }, /headers is not that; allowed: names of headers, and texts without line ends/],
  [{ headers: { "a b": "c" } }, /headers is not that/],
  [{ apiKey: "hunter2\n" }, /apiKey is not that; allowed: text without line ends/],
  [{ apiKey: "\u043a" }, /apiKey is not that/],
  [{ redact: "password" }, /redact is "password"; allowed: a list of names/],
  [{ redact: ["a", 5] }, /redact is \["a",5\]; allowed: a list of names/],
  [{ redactPatterns: "x" }, /redactPatterns is "x"; allowed: common, or a list of regular expressions and common/],
  [{ redactPatterns: ["common", "x"] }, /redactPatterns is "x"; allowed: common, or a list/],
  [{ redactPatterns: [/x*/] }, /redactPatterns is "\/x\*\/"; allowed: a regular expression that matches some letters/],
  [{ servise: "x" }, /servise is no option; there are: .*service/],
];

for (const [options, message] of WRONG) {
  test(`a wrong setting is refused: ${message.source}`, () => {
    assert.throws(() => readSettings("http://server", options, { logType: "BACKEND" }), { name: "TypeError", message });
  });
}

for (const url of [Symbol("s"), Object.create(null), "ftp://x", "http:x:80", "http:/x", "http:///x", "http:\\\\x", "http://x\n:80", "http://x/a b", "nonsense", "", "http://x/?a=1", "http://user:hunter2@x:99999"]) {
  test(`${typeof url === "object" ? "an object" : String(url) || "nothing"} is no URL of a server, and is not shown`, () => {
    assert.throws(() => readSettings(url, {}, { logType: "BACKEND" }), { message: /^the server's URL is not one; allowed: [^]*(?<!hunter2[^]*)$/ });
  });
}

test("the environment names what the options do not; its times are in seconds", () => {
  const variables = {
    LOGCOLLECTOR_SERVER_URL: "https://logs/x/", LOGCOLLECTOR_FLUSH_INTERVAL: "0.25", LOGCOLLECTOR_BATCH_SIZE: "7",
    LOGCOLLECTOR_ENABLE_COMPRESSION: "false", LOGCOLLECTOR_HEADERS: '{"a":"b"}', LOGCOLLECTOR_API_KEY: "k", OTEL_SERVICE_NAME: "otel",
    LOGCOLLECTOR_ENVIRONMENT: "prod",
  };
  const settings = readSettings(undefined, { batchSize: 8 }, { logType: "BACKEND", environment: (name) => variables[name] });
  assert.deepEqual(
    [settings.url, settings.flushInterval, settings.batchSize, settings.enableCompression, settings.headers, settings.common.service, settings.common.environment],
    ["https://logs/x/logs", 250, 8, false, { Authorization: "Bearer k", a: "b" }, "otel", "production"],
  );
});

test("a URL may be an object", () => {
  const { url, base } = readSettings(new URL("http://server/a/"), {}, { logType: "BACKEND" });
  assert.deepEqual([url, base], ["http://server/a/logs", "http://server/a"]);
});

test("names and patterns of secrets may come from the environment, as JSON", () => {
  const read = (variables) => readSettings("http://server", {}, { logType: "BACKEND", environment: (name) => variables[name] });
  const { redact, redactPatterns } = read({ LOGCOLLECTOR_REDACT: '["pin"]', LOGCOLLECTOR_REDACT_PATTERNS: '["common", "a+b"]' });
  assert.deepEqual([redact, redactPatterns], [["pin"], ["common", /a+b/]]);
  assert.deepEqual(read({ LOGCOLLECTOR_REDACT_PATTERNS: "common" }).redactPatterns, ["common"]);
  assert.throws(() => read({ LOGCOLLECTOR_REDACT_PATTERNS: '["("]' }), /redactPatterns is .*; allowed: common, or a list/);
});

test("white space around a URL, as of a file that it was read from, does not belong to it", () => {
  const { url, base } = readSettings(" http://server:80/a\n", {}, { logType: "BACKEND" });
  assert.deepEqual([url, base], ["http://server/a/logs", "http://server:80/a"]);
});

test("a relative URL is one of the page", () => {
  assert.equal(readSettings("/relay", {}, { logType: "FRONTEND", base: "https://shop/a/b" }).url, "https://shop/relay/logs");
});

test("the spool's directory for a server is called as in Python", () => {
  assert.equal(destination("http://localhost:8000"), "localhost_8000-0121783a");
  assert.equal(destination("http://LocalHost:80/a/b"), "localhost_80-fe87c254");
  assert.equal(destination("http://[::1]:90"), "__1_90-f9c98193");
  assert.equal(destination("http://u:p@h.x:80"), "h.x_80-2e0281e5");
  assert.equal(destination("http://h.x/a"), "h.x-c8f6110b");
});
