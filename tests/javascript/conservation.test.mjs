/**
 * Nothing is lost and nothing is stored twice, whatever the server does: random servers, poison, losses, flushes, and the
 * end. A failure names its seed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";

import { World } from "./world.mjs";

const FAULTS = [
  503, 500, 429, 408, 409, 502, 504, 401, 404, 307,
  { status: undefined, arrived: false },
  { status: undefined, store: true },
  { status: 504, store: true },
  { status: 200, type: "text/html", text: "<html>", store: false },
  { status: undefined, arrived: false, unfinished: true },
  { status: 503, retryAfter: "3" },
];

/** Numbers from 0 to 1 that are the same for a seed. */
function chance(seed) {
  let state = seed * 2654435761 + 1;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822507) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
}

for (const withStore of [false, true]) {
  test(`every record is delivered once, or given up because it is poison${withStore ? ", with a store" : ""}`, async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const random = chance(seed);
      const poison = new Set(Array.from({ length: 3 }, () => `record ${Math.floor(random() * 400)}`));
      const poisonStatus = [400, 413, 422, 500][Math.floor(random() * 4)];
      const share = random() * 0.6;
      const kept = new Map();
      const store = withStore ? { put: (batch) => void kept.set(batch.id, batch.bytes), remove: async (batch) => void kept.delete(batch.id) } : undefined;
      let isCalm = false;
      const world = new World(({ entries, compressed, id }) => {
        if (withStore) assert.ok(kept.has(id), `seed ${seed}: posted before it was kept`);
        const isPoisoned = entries.some((each) => poison.has(each.message));
        const usual = compressed && seed % 7 === 0 ? 415 : isPoisoned ? poisonStatus : 200;
        if (isCalm || random() >= share) return usual;
        const fault = FAULTS[Math.floor(random() * FAULTS.length)];
        // It stores nothing that it would refuse.
        return fault.store && usual !== 200 ? usual : fault;
      }, { batchSize: 1 + Math.floor(random() * 30) }, store);
      for (let number = 0; number < 400; ) {
        const messages = [];
        for (let left = Math.floor(random() * 40); left >= 0 && number < 400; left--) messages.push(`record ${number++}`);
        world.log(...messages);
        if (random() < 0.1) void world.delivery.flush(1000);
        await world.pass(random() * 3000);
      }
      await world.pass(100_000);
      isCalm = true;
      // A little traffic goes on, which is the evidence against what is poison.
      for (let more = 0; more < 60; more++) {
        world.log(`later ${more}`);
        await world.pass(30_000);
      }
      const stored = world.messages;
      const once = new Set(stored);
      assert.equal(once.size, stored.length, `seed ${seed}: stored twice`);
      // A batch that the server may have stored is not split on a 500: with poison in it, it stays.
      const { batches, counts } = world.delivery.outbox;
      const waiting = new Set();
      for (const batch of batches) {
        assert.ok(batch.answerLost && poisonStatus === 500, `seed ${seed}: a batch is left`);
        for (const { message } of world.entries(batch)) waiting.add(message);
      }
      const given = [...poison].filter((each) => !waiting.has(each));
      for (let number = 0; number < 400; number++) {
        const message = `record ${number}`;
        const isStored = !poison.has(message) && !waiting.has(message);
        assert.equal(once.has(message), isStored, `seed ${seed}: ${message}, poison is ${[...poison]} with ${poisonStatus}`);
      }
      const expected = { delivered: 460 - waiting.size - given.length, deadLettered: given.length, dropped: {} };
      assert.deepEqual(counts, expected, `seed ${seed}`);
      if (withStore) assert.equal(kept.size, batches.length, `seed ${seed}: left in the store`);
    }
  });
}
