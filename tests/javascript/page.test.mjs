/** A page takes a snapshot, and its worker makes the entry: the same one as where both are done in the call. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { snapshots } from "../../logcollector_handler/javascript/page.js";
import { entryOf } from "../../logcollector_handler/javascript/sending.js";
import { LARGE, STRANGE } from "./strange.mjs";
import { decode, maker, redact, vectors } from "./vectors.mjs";

const page = snapshots(() => ({}));
const { stack } = new Error();
const call = (more) => ({ time: 1700000000.5, stack, origin: { logger: "shop" }, ...more });
/** The entry that the worker makes of a call in the page. */
const through = (more) => JSON.parse(entryOf(page.line(call(more)), maker, redact));
const direct = (more) => JSON.parse(maker.line(call(more)));

/**
 * Where the fields of a page are not those of Node: what cannot be read at all, says so in another place; a Map, whose error
 * is found in Node; an object of fields, which only looks like a node of a page there; and names that are one when cleaned.
 */
const OTHERWISE = [
  "closed", "revoked proxy", "map behind a proxy", "map", "cycle through a map", "DOM node", "window", "lone surrogates", "negative infinity",
];

for (const { level, message, fields } of vectors.filter((each) => !each.redact && !each.patterns)) {
  test(`a vector: ${JSON.stringify(message)}`, () => {
    assert.deepEqual(through({ level, message, fields: decode(fields) }), direct({ level, message, fields: decode(fields) }));
  });
}

for (const [name, make] of Object.entries(STRANGE)) {
  test(`a strange value: ${name}`, () => {
    const calls = [{ fields: { value: make() } }, { message: make() }, { error: make() }, { fields: make() }];
    for (const each of calls.map((more) => ({ level: "INFO", message: "m", ...more }))) {
      const made = through(each);
      assert.ok(JSON.stringify(made).length <= 256 * 1024);
      assert.ok(made.metadata.logger === "shop" || made.metadata.unreadable);
    }
    // Cut in the page and once more in the worker, so the marks of that stand elsewhere.
    if (LARGE.includes(name)) return;
    const uses = [() => ({ fields: { value: make() } }), () => ({ message: make() }), () => ({ error: make() })];
    if (!OTHERWISE.includes(name)) uses.push(() => ({ fields: make() }), () => ({ fields: { a: make() }, bound: { a: 5 } }));
    for (const more of uses) {
      // In one place, so that errors are raised in one.
      const [one, other] = [through, direct].map((make) => make({ level: "INFO", message: "m", ...more() }));
      // The worker also tells the line of an error.
      delete one.metadata.line;
      assert.deepEqual(one, other);
    }
  });
}

test("what is bound is the same in a page and in Node, whatever it is", () => {
  for (const [name, make] of Object.entries(STRANGE)) {
    if (name !== "negative infinity") assert.deepEqual(page.snapshot(make()), maker.snapshot(make()), name);
  }
});

test("secrets in an object that was thrown are masked, and its other fields are there", () => {
  for (const error of [{ password: "hunter2", code: 5 }, new Error("x", { cause: { password: "hunter2" } })]) {
    for (const make of [through, direct]) {
      const made = make({ level: "ERROR", message: "m", error, fields: { error: "mine" } });
      assert.doesNotMatch(JSON.stringify(made), /hunter2/);
      assert.equal(made.metadata.error, "mine");
      if (!(error instanceof Error)) assert.deepEqual(made.metadata["error (2)"], { password: "***", code: 5 });
      assert.match(made.stack_trace, /\{password/);
    }
  }
});

test("a level that cannot be made text is none", () => {
  for (const level of [Object.create(null), Symbol("s"), undefined]) assert.equal(through({ level, message: "m" }).level, "INFO");
});

test("a value of which nothing can be read costs no more than itself", () => {
  const getter = { get boom() { throw new Error("boom"); }, kept: 1 };
  const made = through({ level: "INFO", message: "m", fields: getter });
  assert.equal(made.metadata.kept, 1);
  assert.match(made.metadata.boom, /could not be read/);
});

test("a level that is none, of any kind, is INFO", () => {
  for (const make of [...Object.values(STRANGE), () => ({ toString: () => { throw new Error("boom"); } })]) {
    assert.equal(through({ level: make(), message: "m" }).level, "INFO");
  }
  assert.equal(through({ level: "critical", message: "m" }).level, "FATAL");
});
