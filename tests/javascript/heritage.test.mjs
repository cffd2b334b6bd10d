/** What dead processes left is sent in turn with what this one has. Real files and sockets; no time passes by itself. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Heritage } from "../../logcollector_handler/javascript/node/heritage.js";
import { Owners } from "../../logcollector_handler/javascript/node/owners.js";
import { Spool } from "../../logcollector_handler/javascript/node/spool.js";
import { World, quiet } from "./world.mjs";

/** Leave batches as a process does that is killed. */
async function leave(place, owner, messages) {
  const dead = new Owners(place, owner);
  await dead.appear();
  await new Promise((resolve) => dead.server.close(resolve));
  messages.forEach((message, number) => {
    const body = JSON.stringify({ logs: [{ level: "INFO", message }] });
    writeFileSync(join(place, `${owner}-0000000${number}${"0".repeat(16)}.json`), body, { mode: 0o600 });
  });
}

test("one of each in turn; and what another one leaves later, at the next look", async () => {
  const directory = mkdtempSync(join(tmpdir(), "heritage-"));
  const spool = new Spool(directory, "http://server");
  let begin;
  const begun = new Promise((resolve) => (begin = resolve));
  const world = new World(async () => {
    await begun;
    // An answer takes longer than to read the next file.
    await quiet();
    return 200;
  }, { batchSize: 1 }, spool);
  const heritage = new Heritage(spool, world.delivery);
  spool.open();
  assert.equal(await heritage.owners.appear(), true);
  await leave(spool.place, "000000000001-0123456789abcdef", ["left 0", "left 1", "left 2"]);
  world.log("own 0", "own 1", "own 2", "own 3");
  const looked = heritage.look();
  while (!world.delivery.outbox.batches.some(({ adopted }) => adopted)) await quiet();
  // A second look meanwhile changes nothing.
  await heritage.look();
  begin();
  await looked;
  await quiet();
  assert.deepEqual(world.messages, ["own 0", "left 0", "own 1", "left 1", "own 2", "left 2", "own 3"]);
  assert.equal(world.requests.length, 7, "each was sent once");
  assert.deepEqual(world.delivery.outbox.counts, { delivered: 4, deadLettered: 0, dropped: {} });

  await leave(spool.place, "000000000002-0123456789abcdef", ["later"]);
  await heritage.look();
  assert.equal(world.messages.at(-1), "later");
  // The process ends: nothing more is taken over, and nothing of it is left.
  heritage.stop();
  await leave(spool.place, "000000000003-0123456789abcdef", ["for others"]);
  await heritage.look();
  heritage.end();
  assert.equal(world.messages.at(-1), "later");
  const others = "000000000003-0123456789abcdef";
  assert.deepEqual(readdirSync(spool.place), [`${others}-00000000${"0".repeat(16)}.json`, `${others}.sock`]);
  heritage.owners.server.close();
  rmSync(directory, { recursive: true });
});

test("what another process left is not dropped from the disk when this one has no room in memory", async () => {
  const directory = mkdtempSync(join(tmpdir(), "heritage-"));
  const spool = new Spool(directory, "http://server");
  const world = new World(() => 503, { enableCompression: false }, spool);
  const heritage = new Heritage(spool, world.delivery);
  spool.open();
  await heritage.owners.appear();
  await leave(spool.place, "000000000001-0123456789abcdef", ["left"]);
  void heritage.look();
  while (!world.requests.length) await quiet();
  for (let number = 0; number < 30; number++) world.log("x".repeat(3 << 20));
  await quiet();
  assert.ok(world.delivery.outbox.counts.dropped.buffer_full > 0);
  world.answer = () => 200;
  await world.pass(120_000);
  assert.ok(world.messages.includes("left"));
  heritage.owners.server.close();
  rmSync(directory, { recursive: true });
});

test("a batch that the server fails on holds up none of the others, and is not taken over twice", async () => {
  const directory = mkdtempSync(join(tmpdir(), "heritage-"));
  const spool = new Spool(directory, "http://server");
  const world = new World(({ entries }) => (entries[0].message === "poison" ? 500 : 200), {}, spool);
  const heritage = new Heritage(spool, world.delivery);
  spool.open();
  await heritage.owners.appear();
  await leave(spool.place, "000000000001-0123456789abcdef", ["poison", "good 1", "good 2"]);
  const looked = heritage.look();
  // Nothing of its own is sent, which would say that the server works.
  for (let turn = 0; turn < 200 && world.messages.length < 2; turn++) {
    await world.pass(1000);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.deepEqual(world.messages, ["good 1", "good 2"]);
  await looked;
  await heritage.look();
  assert.ok(world.delivery.outbox.batches.length <= 1);
  for (let turn = 0; turn < 10; turn++) await world.pass(60_000);
  assert.deepEqual([world.delivery.outbox.batches, spool.files.size], [[], 0]);
  assert.equal(readdirSync(join(spool.place, "dead")).length, 1);
  assert.deepEqual(world.said.filter((each) => /cannot be sent/.test(each)), []);
  await heritage.look();
  assert.deepEqual(readdirSync(spool.place).filter((name) => name.includes(".claim")), []);
  heritage.owners.server.close();
  rmSync(directory, { recursive: true });
});
