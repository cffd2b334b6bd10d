/** Delivery with a store that outlives the process: what is in it, and when. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { World, numbered } from "./world.mjs";

test("a batch is in the store before it is posted, and leaves when it is settled", async () => {
  const kept = new Map();
  const store = { put: async (batch) => void kept.set(batch.id, batch), remove: async (batch) => void kept.delete(batch.id) };
  const world = new World(({ id }) => (assert.ok(kept.has(id)), 503), {}, store);
  world.log("one");
  await world.pass(1000);
  assert.equal(kept.size, 1);
  world.answer = () => 200;
  await world.pass(60_000);
  assert.equal(kept.size, 0);
});

test("both halves are in the store before the whole leaves it", async () => {
  const kept = new Set();
  const seen = [];
  const store = {
    async put(batch) {
      await new Promise((resolve) => setImmediate(resolve));
      kept.add(batch.id);
    },
    remove: (batch) => {
      seen.push([batch.id, [...kept]]);
      kept.delete(batch.id);
    },
  };
  const world = new World(({ entries }) => (entries.length > 1 ? 413 : 200), {}, store);
  world.log("one", "two");
  await world.pass(1000);
  const [[id, then]] = seen;
  assert.deepEqual(then, [id, `${id}.0`, `${id}.1`]);
  assert.deepEqual(world.messages, ["one", "two"]);
});

test("a store that fails is said, and the batch goes all the same", async () => {
  const world = new World(() => 200, {}, { put: () => Promise.reject(new Error("full")), remove: () => { throw new Error("gone"); } });
  world.log("one");
  await world.pass(1000);
  assert.deepEqual(world.messages, ["one"]);
  assert.match(world.said[0], /full/);
});

for (const [store, batches] of [[undefined, 2], [{ put() {}, remove() {} }, 10]]) {
  test(`in an outage, what waits goes on filling${store ? ", but not where a store is safer" : ""}`, async () => {
    const world = new World(() => 503, { batchSize: 100 }, store);
    for (let number = 0; number < 10; number++) {
      world.log(`record ${number}`);
      await world.pass(1500);
    }
    world.answer = () => 200;
    await world.pass(60_000);
    assert.deepEqual(world.messages, numbered(10));
    assert.equal(world.stored.size, batches);
  });
}
