/** The entries of the vectors are the ones that Python makes. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { decode, line, makerOf, vectors } from "./vectors.mjs";

for (const { level, message, fields, entry, ...settings } of vectors) {
  test(`as in Python: ${JSON.stringify(message)}`, () => {
    assert.deepEqual(JSON.parse(line(level, message, decode(fields), {}, makerOf(settings))), entry);
  });
}
