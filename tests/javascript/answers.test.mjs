/** The table of answers, and how long to wait after them. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { backoff, classify, isLost, retryAfter, taken } from "../../logcollector_handler/javascript/answers.js";

const TABLE = {
  delivered: [200, 201, 202, 204],
  retry: [undefined, 408, 409, 425, 429, 502, 503, 504],
  refused: [400, 413, 422],
  "server error": [500, 501, 505, 507],
  configuration: [100, 301, 302, 307, 308, 401, 402, 403, 404, 405, 406, 407, 410, 418],
};
const PAGES = { refused: [413], retry: [408, 425, 429, 500, 502, 503, 504], configuration: [200, 201, 400, 404, 409, 422, 415] };

for (const [verdict, statuses] of Object.entries(TABLE)) {
  for (const status of statuses) {
    test(`${status} is ${verdict}`, () => assert.equal(classify({ status, detail: "" }, true), verdict));
  }
}

for (const [verdict, statuses] of Object.entries(PAGES)) {
  for (const status of statuses) {
    test(`an HTML page with ${status} is ${verdict}`, () => {
      for (const page of [{ type: "text/html; charset=utf-8" }, { text: "\n <!DOCTYPE html><p>" }]) {
        assert.equal(classify({ status, detail: "", ...page }, true), verdict);
      }
    });
  }
}

test("415 is about the compression, or else a configuration error", () => {
  assert.equal(classify({ status: 415, detail: "" }, true), "unsupported encoding");
  assert.equal(classify({ status: 415, detail: "" }, false), "configuration");
});

test("an answer is lost where the server may have stored the batch", () => {
  const lost = (answer) => isLost({ detail: "", arrived: true, ...answer });
  for (const status of [undefined, 502, 504]) assert.equal(lost({ status }), true);
  for (const status of [200, 400, 429, 500, 503]) assert.equal(lost({ status }), false);
  assert.equal(lost({ status: 500, type: "text/html" }), true);
  assert.equal(lost({ status: undefined, arrived: false }), false);
  assert.equal(lost({ status: 200, lostBefore: true }), true);
});

test("a wait grows, has jitter, and is bounded; at the end it is a tenth", () => {
  assert.deepEqual([1, 2, 3, 6, 99].map((failures) => backoff(failures, 0.5)), [1000, 2000, 4000, 30_000, 30_000]);
  assert.deepEqual([0, 1].map((chance) => backoff(1, chance)), [750, 1250]);
  assert.deepEqual([1, 2, 9].map((failures) => backoff(failures, 0.5, true)), [100, 200, 1000]);
});

for (const [value, expected] of [
  ["5", 5000], [" 7 ", 7000], ["0", 0], ["999999999999999999999", 300_000], ["-5", 0], ["soon", 0], ["", 0], [null, 0],
  [undefined, 0], ["Thu, 01 Jan 1970 00:00:10 GMT", 9000], ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
]) {
  test(`Retry-After: ${value} is ${expected} ms`, () => assert.equal(retryAfter(value, 1000), expected));
}

test("the count of an answer, where it has one", () => {
  assert.equal(taken({ detail: "", text: '{"count": 5}' }), 5);
  for (const text of [undefined, "", "null", "[]", '{"count": "5"}', "{"]) assert.equal(taken({ detail: "", text }), undefined);
});
