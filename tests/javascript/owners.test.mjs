/** Who owns what in a spool: real sockets, in one process. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Owners } from "../../logcollector_handler/javascript/node/owners.js";

const named = (number) => `00000000000${number}-0123456789abcdef`;

/** Calls a function with a directory, and owners in it that live; ends them afterwards. */
async function inDirectory(count, run) {
  const place = mkdtempSync(join(tmpdir(), "owners-"));
  const owners = Array.from({ length: count }, (_, number) => new Owners(place, named(number)));
  try {
    for (const each of owners) assert.equal(await each.appear(), true);
    await run(place, ...owners);
  } finally {
    for (const each of owners) each.server.close();
    rmSync(place, { recursive: true });
  }
}

/** Its socket stays, and refuses connections: so it is when a process is killed. */
const kill = ({ server }) => new Promise((resolve) => server.close(resolve));

test("of many that look at the same time one claims what a dead one left", async () => {
  await inDirectory(6, async (place, dead, ...heirs) => {
    await kill(dead);
    const names = readdirSync(place);
    const claims = await Promise.all(heirs.map((each) => each.claim(names)));
    assert.deepEqual(claims.flat(), [dead.own]);
    // It is known as claimed now, and is the heir's at each later look.
    const heir = claims.findIndex((each) => each.length);
    const again = await Promise.all(heirs.map((each) => each.claim(readdirSync(place))));
    assert.deepEqual(again.map((each) => each.length), heirs.map((_, at) => Number(at === heir)));
    heirs[heir].release(dead.own);
    assert.deepEqual(readdirSync(place), heirs.map(({ own }) => `${own}.sock`));
  });
});

test("what an heir has claimed and dies with is claimed by another one, with what it left itself", async () => {
  await inDirectory(3, async (place, dead, heir, other) => {
    await kill(dead);
    assert.deepEqual(await heir.claim(readdirSync(place)), [dead.own]);
    assert.deepEqual(await other.claim(readdirSync(place)), []);
    await kill(heir);
    assert.deepEqual(await other.claim(readdirSync(place)), [dead.own, heir.own]);
  });
});

test("an owner that has vanished has no socket, and what it had claimed is free", async () => {
  await inDirectory(3, async (place, dead, heir, other) => {
    await kill(dead);
    await heir.claim(readdirSync(place));
    heir.vanish();
    assert.deepEqual(await other.claim(readdirSync(place)), [dead.own]);
  });
});

test("where a lock of Python is, or no socket, nothing is claimed", async () => {
  await inDirectory(2, async (place, dead, other) => {
    await kill(dead);
    writeFileSync(join(place, `${dead.own}.lock`), "");
    writeFileSync(join(place, `${named(7)}-0000000000000000.json`), "");
    assert.deepEqual(await other.claim(readdirSync(place)), []);
  });
});

test("where sockets cannot be made, others do not see the process, and nothing is left of the attempt", async () => {
  const place = mkdtempSync(join(tmpdir(), "owners-"));
  const owners = new Owners(place, named(1));
  owners.address = () => join(place, "nowhere", "socket");
  assert.equal(await owners.appear(), false);
  assert.deepEqual(readdirSync(place), []);
  rmSync(place, { recursive: true });
});
