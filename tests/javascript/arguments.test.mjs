/** Whatever is passed to whatever method, in Node and in a page: nothing is thrown into the application. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";

import { LogClient } from "../../logcollector_handler/javascript/client.js";
import { entryMaker } from "../../logcollector_handler/javascript/entry.js";
import { snapshots } from "../../logcollector_handler/javascript/page.js";
import { LARGE, STRANGE } from "./strange.mjs";

const MAKERS = { Node: entryMaker({ logType: "BACKEND" }), "a page": snapshots(() => ({ path: "/" })) };
/** How many arguments each method takes. */
const METHODS = { log: 3, trace: 2, debug: 2, info: 2, warn: 2, error: 2, fatal: 2, errorWithTrace: 3, endTimer: 4, child: 1, setContext: 1, flush: 1, close: 1 };
const USUAL = { log: ["INFO", "m", {}], errorWithTrace: ["m", new Error("x"), {}], endTimer: [0, "INFO", "m", {}] };
const LONGEST = 2 ** 31 - 1;

function client(maker, settings = {}) {
  const bound = new AsyncLocalStorage();
  const [lines, times] = [[], []];
  const end = (time) => {
    times.push(time);
    return Promise.resolve(true);
  };
  const log = new LogClient({
    settings: { autoCaller: true, shutdownTimeout: 5000, ...settings },
    pipeline: { send: (line) => lines.push(line), flush: end, close: end, stats: () => ({}) },
    context: { get: () => bound.getStore(), set: (fields) => bound.enterWith(fields), run: (fields, run) => bound.run(fields, run) },
    maker,
  });
  return { log, lines, times };
}

for (const [where, maker] of Object.entries(MAKERS)) {
  for (const [name, make] of Object.entries(STRANGE)) {
    if (LARGE.includes(name)) continue;
    test(`in ${where}: ${name}`, () => {
      const { log, lines, times } = client(maker);
      let calls = 0;
      for (const [method, count] of Object.entries(METHODS)) {
        const usual = USUAL[method] ?? ["m", {}];
        for (let place = 0; place < count; place++) log[method](...usual.slice(0, count).map((each, at) => (at === place ? make() : each)));
        log[method](...Array.from({ length: count }, make));
        if (!["child", "setContext", "flush", "close"].includes(method)) calls += count + 1;
      }
      assert.equal(log.runWithContext(make(), () => 5), 5);
      const made = make();
      // What has a `then` is a promise to `measure`, as it is to `await`.
      if (!/promise|then/.test(name)) assert.equal(log.measure(() => made, make(), make()), made);
      assert.throws(() => log.measure(() => { throw made; }, make(), make()), (thrown) => thrown === made);
      log.child(make()).info("m");
      assert.equal(lines.length, calls + 2 + !/promise|then/.test(name));
      for (const line of lines) assert.equal(typeof JSON.parse(line), "object");
      for (const time of times) assert.ok(time >= 0 && time <= LONGEST, `${time}`);
    });
  }
}

test("measure calls a function of which nothing else can be read, and passes on what it returns", async () => {
  const { log, lines } = client(MAKERS.Node);
  const nameless = new Proxy(() => 5, { get() { throw new Error("boom"); } });
  assert.equal(log.measure(nameless), 5);
  const closed = new Proxy({}, { get() { throw new Error("boom"); } });
  assert.equal(log.measure(() => closed), closed);
  assert.equal(await log.measure(() => ({ then(done) { done(6); } }), "thenable"), 6);
  await assert.rejects(log.measure(() => ({ then() { throw new Error("boom"); } }), "failing"), /boom/);
  assert.deepEqual(lines.map((line) => JSON.parse(line)).map(({ level, message }) => [level, message]), [
    ["INFO", "measured"], ["INFO", "measured"], ["INFO", "thenable"], ["ERROR", "failing"],
  ]);
});

for (const [given, expected] of [[Infinity, LONGEST], [2 ** 31, LONGEST], [NaN, 5000], [-1, 5000], [0, 0], [5n, 5000], [undefined, 5000], ["7", 5000]]) {
  test(`a flush of ${String(given)} milliseconds waits for ${expected}`, () => {
    const { log, times } = client(MAKERS.Node);
    log.flush(given);
    log.close(given);
    assert.deepEqual(times, [expected, expected]);
  });
}

test("a time since what is no number is NaN, and the entry is there", () => {
  for (const make of [() => 5n, () => Symbol("s"), () => Object.create(null), () => "x", () => null]) {
    const { log, lines } = client(MAKERS.Node);
    assert.ok(Number.isNaN(log.endTimer(make())));
    const { duration_ms, metadata } = JSON.parse(lines[0]);
    assert.deepEqual([duration_ms, metadata.duration_ms], [undefined, null]);
  }
});

test("stacks that the application makes something else of, or none, cost no entry", () => {
  const before = Error.prepareStackTrace;
  try {
    for (const prepare of [(_, frames) => [5n, ...frames], () => { throw new Error("boom"); }, () => Symbol("s")]) {
      Error.prepareStackTrace = prepare;
      for (const maker of Object.values(MAKERS)) {
        const { log, lines } = client(maker);
        log.info("m", { kept: 1 });
        const { message, metadata, fields } = JSON.parse(lines[0]);
        assert.deepEqual([message, (metadata ?? fields).kept], ["m", 1]);
      }
    }
  } finally {
    Error.prepareStackTrace = before;
  }
});
