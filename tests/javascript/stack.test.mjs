/** Stack traces of the three engines give function, file and line. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { errorType, frames, stackTrace } from "../../logcollector_handler/javascript/stack.js";

const STACKS = {
  "V8": [`TypeError: x is not a function
    at Object.buy (https://shop/app.js:10:5)
    at async Promise.all (index 0)
    at https://shop/app.js:20:1`, { function: "Object.buy", file: "https://shop/app.js", line: 10 }],
  "V8, without a function": ["Error\n    at file:///srv/a%20b.mjs:3:7", { function: undefined, file: "/srv/a b.mjs", line: 3 }],
  "V8, a method, constructed": ["Error: x\n    at new Cart (/srv/cart.js:1:2)", { function: "new Cart", file: "/srv/cart.js", line: 1 }],
  "V8, asynchronous": ["Error: x\n    at async load (/srv/a (b)/c.js:9:1)", { function: "load", file: "/srv/a (b)/c.js", line: 9 }],
  "V8, with a method's alias": ["Error: x\n    at Cart.add [as push] (/srv/c.js:9:1)", { function: "Cart.add [as push]", file: "/srv/c.js", line: 9 }],
  "V8, internal frames first": ["Error: x\n    at node:internal/x:1:1\n    at JSON.parse (<anonymous>)\n    at go (/srv/a.js:2:3)", { function: "go", file: "/srv/a.js", line: 2 }],
  "V8, on Windows": ["Error: x\n    at go (C:\\srv\\a.js:2:3)", { function: "go", file: "C:\\srv\\a.js", line: 2 }],
  "V8, a message that looks like Firefox": ["Error: a@https://evil/x.js:1:1\nb@https://evil/y.js:2:2\n    at go (/srv/a.js:2:3)", { function: "go", file: "/srv/a.js", line: 2 }],
  "Firefox": ["buy@https://shop/app.js:10:5\n@https://shop/app.js:20:1\n", { function: "buy", file: "https://shop/app.js", line: 10 }],
  "Firefox, without a function": ["@https://shop/app.js:20:1\n", { function: undefined, file: "https://shop/app.js", line: 20 }],
  "Firefox, nested": ["cart/buy/<@https://shop/app.js:10:5\n", { function: "cart/buy", file: "https://shop/app.js", line: 10 }],
  "Firefox, asynchronous": ["async*buy@https://shop/app.js:10:5\n", { function: "async*buy", file: "https://shop/app.js", line: 10 }],
  "Safari": ["buy@https://shop/app.js:10:5\nglobal code@https://shop/app.js:20:1", { function: "buy", file: "https://shop/app.js", line: 10 }],
  "Safari, native code first": ["parse@[native code]\nbuy@https://shop/app.js:10:5", { function: "buy", file: "https://shop/app.js", line: 10 }],
  "Safari, without a name": ["https://shop/app.js:10:5", { function: undefined, file: "https://shop/app.js", line: 10 }],
};

for (const [name, [stack, expected]] of Object.entries(STACKS)) {
  test(name, () => assert.deepEqual(frames(stack), [expected]));
}

for (const stack of [undefined, "", "x", 5, "at", "Error: x", "a@b", "@", "\n\n"]) {
  test(`no frame is seen in ${JSON.stringify(stack)}`, () => assert.deepEqual(frames(stack), []));
}

test("a trace of Firefox gets the error's name and message, that of V8 has them", () => {
  const error = new TypeError("no");
  assert.equal(stackTrace(error), error.stack);
  error.stack = "buy@https://shop/app.js:10:5\n";
  assert.equal(stackTrace(error), "TypeError: no\nbuy@https://shop/app.js:10:5\n");
});

test("a very long line is looked through in little time", () => {
  const start = process.cpuUsage().user;
  for (const each of ["at ".repeat(50_000), `${"(".repeat(50_000)}@`, ` at ${"a ".repeat(30_000)}(`, "/<".repeat(40_000), `\n at ${":1".repeat(30_000)}`,
    `Error: x\n at ${" (".repeat(30_000)}\r`, `${"@/".repeat(32_000)}\r`]) frames(each);
  assert.ok(process.cpuUsage().user - start < 5_000_000);
});

test("the type of what is thrown is always a text", () => {
  for (const each of [null, undefined, 5, "x", Symbol("s"), {}, Object.create(null), () => {}]) {
    assert.equal(typeof errorType(each), "string");
  }
});
