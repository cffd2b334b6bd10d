/** Values that only JavaScript has: none throws, none makes an entry that the server refuses, none is changed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { STRANGE } from "./strange.mjs";
import { line } from "./vectors.mjs";

const LIMIT = 256 * 1024;
const made = (fields, more) => JSON.parse(line("INFO", "message", fields, more));
const shown = (value) => made({ value }).metadata.value;

/** All texts and names in a value that was parsed. */
function texts(value) {
  if (typeof value === "object" && value !== null) return Object.entries(value).flatMap(([name, each]) => [name, ...texts(each)]);
  return typeof value === "string" ? [value.replaceAll("\\", "/")] : [];
}

for (const [name, make] of Object.entries(STRANGE)) {
  test(`${name}: as a field, a column, the message, the error, all of the fields`, () => {
    const lines = [
      line("INFO", "message", { small: "stays", value: make() }),
      line("INFO", "message", { user_id: make(), duration_ms: make(), method: make(), metadata: make() }),
      line("INFO", make(), {}),
      line("INFO", "message", {}, { error: make() }),
      line("INFO", "message", make()),
      line(make(), "message", {}),
    ];
    for (const each of lines) {
      assert.ok(Buffer.byteLength(each) <= LIMIT);
      assert.doesNotMatch(JSON.stringify(texts(JSON.parse(each))), /[^\\]\\u(0000|d[89a-f])/i);
      const { level, message, created_at, metadata } = JSON.parse(each);
      assert.deepEqual([typeof level, typeof message, created_at, typeof metadata], ["string", "string", 1700000000.5, "object"]);
    }
    assert.equal(JSON.parse(lines[0]).metadata.small, "stays");
  });
}

const SHOWN = {
  bigint: "18446744073709551616",
  "small bigint": 5,
  symbol: "Symbol(s)",
  "symbol key": { a: 2 },
  function: "<function buy>",
  class: "<function Shop>",
  instance: "<Shop>",
  toJSON: { amount: 0.05 },
  "toJSON throws": "<Object, which could not be read: Error>",
  "toJSON itself": { a: 1, toJSON: "<function toJSON>" },
  "getter throws": { a: 1, b: "<could not be read: Error>", c: 3 },
  "array with a hole": [1, null, 3],
  "undefined in": { b: [null] },
  date: "1970-01-01T00:00:00.000Z",
  "invalid date": "Invalid Date",
  map: { "<Object>": 1, b: {} },
  set: [1, ["a"]],
  promise: "<Promise>",
  regexp: "/a+/g",
  "url parameters": { a: "1", password: "***" },
  headers: { accept: "x", authorization: "***" },
  buffer: "abc",
  "binary buffer": "\ufffd\ufffd\ufffd",
  "typed array": [1.5, null],
  "no prototype": { a: 1 },
  error: "TypeError: no",
  "DOM node": "<div#main.a.b>",
  window: { document: "<#document>", window: "<itself>", self: "<itself>" },
};

for (const [name, expected] of Object.entries(SHOWN)) {
  test(`${name} is shown as ${JSON.stringify(expected)}`, () => assert.deepEqual(shown(STRANGE[name]()), expected));
}

test("a field that is undefined is left out, as if it was not given", () => {
  assert.deepEqual(Object.keys(made({ user_id: undefined, other: undefined }).metadata), ["logger", "process", "thread", "line"]);
});

test("the error of a call fills the columns, with its causes", () => {
  const { error_type, stack_trace, file_path, metadata } = made({}, {
    error: new TypeError("outer", { cause: new AggregateError([new Error("one")], "several") }),
  });
  assert.equal(error_type, "TypeError");
  assert.match(stack_trace, /^TypeError: outer\n +at [^]*\nCaused by: AggregateError: several\n[^]*\nIncluding: Error: one\n/);
  assert.match(file_path, /values\.test\.mjs$/);
  assert.equal(metadata.error, undefined);
});

for (const name of ["error", "err"]) {
  test(`an error in the field ${name} fills the columns, and stays`, () => {
    const { error_type, stack_trace, metadata } = made({ [name]: new RangeError("no") });
    assert.equal(error_type, "RangeError");
    assert.match(stack_trace, /^RangeError: no\n/);
    assert.equal(metadata[name], "RangeError: no");
  });
}

test("an error as the message fills the columns, too", () => {
  const { message, error_type } = JSON.parse(line("ERROR", new TypeError("no")));
  assert.deepEqual([message, error_type], ["TypeError: no", "TypeError"]);
});

test("a class of errors without a name of its own is called by its class", () => {
  class PaymentError extends Error {}
  assert.equal(made({}, { error: new PaymentError("no") }).error_type, "PaymentError");
});

test("secrets in the text of an error are masked", () => {
  assert.match(made({}, { error: new Error("GET /?token=abc") }).stack_trace, /token=\*\*\*/);
});

test("the caller's object is not changed, and a change a moment later does not ship", () => {
  const fields = { list: [1, { a: 2 }], metadata: { b: 3 }, user_id: 5, trace_id: "x" };
  const before = structuredClone(fields);
  const text = line("INFO", "message", fields);
  assert.deepEqual(fields, before);
  fields.list[1].a = "later";
  assert.doesNotMatch(text, /later/);
  const freeze = (value) => Object.freeze(Object.values(value).forEach((each) => typeof each === "object" && freeze(each)) ?? value);
  freeze(fields);
  line("INFO", "message", fields);
});

test("what is too long is cut with a mark, what is small stays whole, and the entry says so", () => {
  const { metadata } = made({ large: "x".repeat(1_000_000), small: "stays", list: Array.from({ length: 200_000 }, () => "item") });
  assert.equal(metadata.small, "stays");
  assert.match(metadata.large, /x… \[\d+ more characters cut\]$/);
  assert.match(metadata.list.at(-1), /^… \d+ more left out$/);
  assert.equal(metadata.truncated, true);
});

test("a getter that logs in the middle of an entry spoils neither", () => {
  let inner;
  const fields = { a: { b: 1 }, get c() { inner = made({ x: [1] }); return { d: 2 }; }, e: [3] };
  const { a, c, e } = made(fields).metadata;
  assert.deepEqual({ a, c, e }, { a: { b: 1 }, c: { d: 2 }, e: [3] });
  assert.deepEqual(inner.metadata.x, [1]);
});

test("fields of the call win over those that are bound, and over those of the settings", () => {
  const { service, user_id, metadata } = made({ a: 1, service: "other" }, { bound: { a: 2, b: 3, user_id: 7, service: "bound" } });
  assert.deepEqual([service, user_id, metadata.a, metadata.b], ["other", "7", 1, 3]);
});

test("a field of the call that is undefined hides no bound one, one that cannot be read does", () => {
  const bound = { user_id: 7, a: 1, b: 2 };
  const { user_id, metadata } = made({ user_id: undefined, a: undefined, get b() { throw new Error("boom"); } }, { bound });
  assert.deepEqual([user_id, metadata.a, metadata.b], ["7", 1, "<could not be read: Error>"]);
});

test("an error in an object of a class fills the columns", () => {
  class Failure { err = new RangeError("no"); }
  assert.equal(made(new Failure()).error_type, "RangeError");
});

const model = Object.assign(new (class Model { toJSON() { return { id: this.id }; } })(), { id: 1, internal: "x" });
const FIELDS = [
  ["text", { value: "text" }], [5, { value: 5 }], [[1, 2], { value: [1, 2] }], [null, {}], [new Map([["a", 1]]), { a: 1 }],
  [new Date(0), { value: "1970-01-01T00:00:00.000Z" }], [new Set([1, 2]), { value: [1, 2] }], [/x/, { value: "/x/" }],
  [new URL("http://a/b"), { value: "http://a/b" }], [new URLSearchParams("a=1&token=x"), { a: "1", token: "***" }],
  [new Headers({ a: "1" }), { a: "1" }], [Buffer.from("abc"), { value: "abc" }], [Object("hi"), { value: "hi" }],
  [model, { id: 1 }], [{ toJSON: () => ({ id: 1 }), internal: "x" }, { id: 1 }], [new (class Shop {})(), { value: "<Shop>" }],
  [new (class Order { id = 1; })(), { id: 1 }],
];
for (const [fields, expected] of FIELDS) {
  test(`fields that are no object of fields, ${inspect(fields)}, are not lost`, () => {
    const { logger, process, thread, line, ...rest } = made(fields).metadata;
    assert.deepEqual(rest, expected);
  });
}
