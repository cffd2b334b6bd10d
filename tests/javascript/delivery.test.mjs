/** Delivery: batches, answers, evidence, losses, flush and the end. Time passes only where a test lets it. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { World, numbered, quiet } from "./world.mjs";

test("a batch goes when it is full, and what is left when it is old enough", async () => {
  const world = new World();
  world.log(...numbered(25));
  await world.pass(999);
  assert.equal(world.messages.length, 20);
  await world.pass(1);
  assert.deepEqual(world.messages, numbered(25));
});

test("the first urgent entry goes at once, those behind it are gathered", async () => {
  const urgent = (message) => world.delivery.add([JSON.stringify({ level: "ERROR", message })], true);
  const world = new World((_, number) => {
    if (number === 1) for (const each of numbered(5)) urgent(each);
    return 200;
  });
  urgent("first");
  await world.pass(0);
  assert.deepEqual(world.requests.map((each) => each.entries.length), [1, 5]);
});

test("a key is of the form that the spool reads, and the same at each try", async () => {
  const world = new World((_, number) => (number < 4 ? 503 : 200));
  world.log("one");
  await world.pass(60_000);
  const keys = new Set(world.requests.map((each) => each.id));
  assert.equal(keys.size, 1);
  assert.match([...keys][0], /^[0-9a-f]{12}-[0-9a-f]{16}-[0-9a-f]{24}$/);
  assert.deepEqual(world.messages, ["one"]);
});

test("tries after 1, 2, 4 … seconds, at most 30", async () => {
  const world = new World(() => 503);
  world.log("one");
  await world.pass(200_000);
  const times = world.requests.map((each) => each.at - 1000);
  assert.deepEqual(times.slice(0, 8), [0, 1000, 3000, 7000, 15_000, 31_000, 61_000, 91_000]);
  assert.equal(world.said.length, 1);
});

for (const [header, seconds] of [["7", 7], ["1000000", 300], [new Date(1_700_000_000_000 + 21_000).toUTCString(), 20]]) {
  test(`Retry-After: ${header} is waited for, and no flush shortens it`, async () => {
    const world = new World((_, number) => (number === 1 ? { status: 429, retryAfter: header } : 200));
    world.log("one");
    await world.pass(1000);
    void world.delivery.flush(1);
    await world.pass(seconds * 1000 - 1);
    assert.equal(world.requests.length, 1);
    await world.pass(1);
    assert.equal(world.requests.length, 2);
  });
}

for (const status of [400, 413, 422]) {
  test(`${status} splits until the offender stands alone, the others are delivered`, async () => {
    const world = new World(({ entries }) => (entries.some((each) => each.message === "record 6") ? status : 200));
    world.log(...numbered(10));
    await world.pass(1);
    assert.deepEqual(world.messages.sort(), numbered(10).filter((each) => each !== "record 6"));
    assert.deepEqual(world.delivery.outbox.counts, { delivered: 9, deadLettered: 1, dropped: {} });
    assert.match(world.said.at(-1), /record 6/);
    const [{ id }] = world.requests;
    assert.ok(world.requests.every((each) => each.id.startsWith(id)));
    assert.ok(world.requests.some((each) => each.id === `${id}.1`));
  });
}

test("twenty lone records refused in a row are a configuration error, and none is given up", async () => {
  const world = new World(() => 422, { batchSize: 32 });
  world.log(...numbered(32));
  await world.pass(20_000);
  assert.equal(world.delivery.outbox.counts.deadLettered, 0);
  assert.match(world.said[0], /waiting will not help/);
  world.answer = () => 200;
  await world.pass(60_000);
  assert.deepEqual(world.messages.sort(), numbered(32).sort());
});

test("a refused record that was dropped for room is not counted once more when it is given up", async () => {
  const world = new World(({ entries }) => (entries[0].message === "bad" ? 422 : 503), { batchSize: 1 });
  world.log("bad", "good");
  await world.pass(100);
  const { outbox, suspects } = world.delivery;
  outbox.drop(suspects.refused[0], "buffer_full");
  world.answer = () => 200;
  await world.pass(5000);
  assert.deepEqual(outbox.counts, { delivered: 1, deadLettered: 0, dropped: { buffer_full: 1 } });
});

test("500 in an outage gives nothing up, however long", async () => {
  const world = new World(() => 500);
  world.log(...numbered(30));
  await world.pass(3_600_000);
  world.answer = () => 200;
  await world.pass(60_000);
  assert.deepEqual(world.messages.sort(), numbered(30).sort());
  assert.deepEqual(world.delivery.outbox.counts, { delivered: 30, deadLettered: 0, dropped: {} });
});

test("500 in an outage gives no lone record up either: when the server works again, it says nothing of them", async () => {
  const world = new World(() => 500, { batchSize: 1 });
  world.log(...numbered(20));
  await world.pass(600_000);
  world.answer = () => 200;
  await world.pass(120_000);
  assert.deepEqual(world.messages.sort(), numbered(20).sort());
});

test("500 for a poisoned batch, while others go: it is split, and the offender is given up", async () => {
  const world = new World(({ entries }) => (entries.some((each) => each.message === "record 3") ? 500 : 200));
  for (let first = 0; first < 400; first += 10) {
    world.log(...numbered(10, first));
    await world.pass(5000);
  }
  await world.pass(600_000);
  assert.equal(world.messages.length, 399);
  assert.equal(world.delivery.outbox.counts.deadLettered, 1);
});

test("a batch whose answer was lost is not split on a 500, or its records would be stored twice", async () => {
  let first = true;
  const world = new World(({ entries }) => {
    if (!entries.some((each) => each.message === "record 3")) return 200;
    if (first) {
      first = false;
      return { status: undefined, store: true };
    }
    return 500;
  });
  for (let number = 0; number < 300; number += 10) {
    world.log(...numbered(10, number));
    await world.pass(5000);
  }
  assert.equal(world.messages.length, 300);
  assert.ok(world.requests.every((each) => !each.id.includes(".")));
});

for (const status of [301, 401, 403, 404, 405, 418]) {
  test(`${status} is a configuration error: said once, tried every 30 s`, async () => {
    const world = new World(() => status);
    world.log("one");
    await world.pass(91_500);
    assert.equal(world.requests.length, 4);
    assert.equal(world.said.length, 1);
    world.answer = () => 200;
    await world.pass(30_000);
    assert.deepEqual(world.messages, ["one"]);
  });
}

test("an HTML page with 200 is no delivery", async () => {
  const world = new World(() => ({ status: 200, type: "text/html", text: "<html>" }));
  world.log("one");
  await world.pass(2000);
  assert.equal(world.delivery.outbox.counts.delivered, 0);
  assert.match(world.said[0], /check the server's URL/);
});

test("415 is sent again uncompressed under a new id, and so is all that follows", async () => {
  const world = new World(({ compressed }) => (compressed ? 415 : 200), { batchSize: 100 });
  world.log(...numbered(200));
  await world.pass(1);
  assert.deepEqual(world.requests.map((each) => each.compressed), [true, false, true, false]);
  assert.equal(world.requests[1].id, `${world.requests[0].id}.0`);
  assert.deepEqual(world.messages, numbered(200));
  world.log(...numbered(100));
  await world.pass(1);
  assert.deepEqual(world.requests.slice(4).map((each) => each.compressed), [false]);
});

test("what was not sent in time is split, and batches stay small until ten have gone well", async () => {
  const world = new World(({ entries }) => (entries.length > 3 ? { status: undefined, arrived: false, unfinished: true } : 200));
  world.log(...numbered(10));
  await world.pass(1);
  assert.deepEqual(world.messages, numbered(10));
  world.log(...numbered(10, 10));
  await world.pass(2000);
  assert.ok(world.requests.slice(-4).every((each) => each.entries.length <= 3));
});

test("losses are told by the next batch first, and counted", async () => {
  const world = new World();
  world.delivery.lose("queue_full", 7);
  world.log("one");
  await world.pass(1000);
  assert.deepEqual(world.requests[0].entries.map((each) => each.message), ["lost", "one"]);
  assert.deepEqual(world.requests[0].entries[0].losses, { queue_full: 7 });
  assert.deepEqual(world.delivery.outbox.counts, { delivered: 1, deadLettered: 0, dropped: { queue_full: 7 } });
});

test("the oldest batches go when all take too much memory; their loss is told", async () => {
  const world = new World(() => 503, { enableCompression: false });
  const large = "x".repeat(3 << 20);
  for (let number = 0; number < 30; number++) world.log(`${number}${large}`);
  await world.pass(100);
  const { dropped } = world.delivery.outbox.counts;
  assert.ok(dropped.buffer_full >= 8, JSON.stringify(dropped));
  world.answer = () => 200;
  await world.pass(120_000);
  const stored = [...world.stored.values()].flat();
  assert.equal(stored.filter((each) => each.message !== "lost").length, 30 - dropped.buffer_full);
  world.log("later");
  await world.pass(2000);
  const told = [...world.stored.values()].flat().filter((each) => each.message === "lost");
  assert.equal(told.reduce((sum, each) => sum + each.losses.buffer_full, 0), dropped.buffer_full);
});

test("flush is true when all is delivered, false when the time is over", async () => {
  const world = new World();
  world.log("one");
  assert.equal(await world.delivery.flush(1000), true);
  assert.deepEqual(world.messages, ["one"]);
  world.answer = () => 503;
  world.log("two");
  const flushed = world.delivery.flush(500);
  await world.pass(500);
  assert.equal(await flushed, false);
});

test("flush waits for the halves of a batch, too", async () => {
  const world = new World(({ entries }) => (entries.length > 1 ? 413 : 200));
  world.log(...numbered(7));
  assert.equal(await world.delivery.flush(1000), true);
  assert.deepEqual(world.messages, numbered(7));
});

test("at the end it tries again after tenths of seconds", async () => {
  const world = new World((_, number) => (number < 4 ? 503 : 200));
  world.log("one");
  await quiet();
  world.delivery.hasten(5000);
  await world.pass(1000);
  assert.deepEqual(world.messages, ["one"]);
});

test("entries that come while a request is under way are not forgotten", async () => {
  const world = new World(async () => {
    await quiet();
    return 200;
  }, { batchSize: 1 });
  for (let number = 0; number < 20; number++) {
    world.log(`record ${number}`);
    await Promise.resolve();
  }
  for (let turn = 0; turn < 25; turn++) await quiet();
  assert.equal(world.messages.length, 20);
});

test("what is in flight is not dropped for room", async () => {
  let answerFirst;
  const world = new World((_, number) => (number === 1 ? new Promise((resolve) => (answerFirst = resolve)) : 503), { enableCompression: false });
  world.log("in flight");
  await world.pass(1000);
  for (let number = 0; number < 30; number++) world.log("x".repeat(3 << 20));
  await quiet();
  assert.ok(world.delivery.outbox.counts.dropped.buffer_full > 0);
  answerFirst(200);
  await quiet();
  const { batches, counts } = world.delivery.outbox;
  assert.equal(counts.delivered, 1);
  assert.equal(batches.length + world.delivery.lines.length + counts.dropped.buffer_full + counts.delivered, 31);
});
