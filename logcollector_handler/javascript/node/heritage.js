/**
 * What dead processes left in the spool is sent by this one: one batch at a time, each in turn with one of its own.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

import { OWNER_LENGTH, split, storedBatch } from "../batch.js";
import { Owners } from "./owners.js";
import { makeDirectory } from "./spool.js";

/** Milliseconds between two looks at the directory. */
const LOOK_EVERY = 10_000;
/** Milliseconds after which it is noticed that a batch was set aside. */
const LOOK_ASIDE = 500;
/** Bytes of the batches that are set aside at most: in a long outage they would all be in memory. */
const MOST_ASIDE = 16 << 20;
/** Bytes of a body at most, as it is and unpacked: twice what a batch can have. */
const MOST = 32 << 20;

const BATCH = /^((?:[0-9a-f]{12}-[0-9a-f]{16})-[0-9a-f]{24}(?:\.[01])*)\.json(\.gz)?$/;

/** @typedef {import("./spool.js").Spool} Spool */

export class Heritage {
  /**
   * @param {Spool} spool
   * @param {import("../delivery.js").Delivery} delivery
   */
  constructor(spool, delivery) {
    this.spool = spool;
    this.delivery = delivery;
    this.owners = new Owners(spool.place, delivery.draw().slice(0, OWNER_LENGTH));
    this.isBusy = false;
    /** Files of which people were told. @type {Set<string>} */
    this.said = new Set();
    this.isOver = false;
  }

  /** Look around now, and now and then. */
  async begin() {
    try {
      this.spool.open();
      if (!(await this.owners.appear()) || this.isOver) return;
      const look = () => this.look().catch(() => {});
      setInterval(look, LOOK_EVERY);
      await look();
    } catch {
      // The directory cannot be used: that is said where a batch is put into it.
    }
  }

  /** The process ends: nothing more is taken over. */
  stop() {
    this.isOver = true;
  }

  /** It has ended. What it leaves itself is the heritage of others. */
  end() {
    if (![...this.spool.files.keys()].some((name) => name.startsWith(this.owners.own))) this.owners.vanish();
  }

  /** Send what there is, unless that is being done. */
  async look() {
    if (this.isBusy || this.isOver) return;
    this.isBusy = true;
    try {
      const claimed = await this.owners.claim(readdirSync(this.spool.place));
      for (const owner of claimed) {
        for (const name of this.tidied(this.left(owner))) await this.send(name);
        if (!this.isOver && !this.left(owner).length) this.owners.release(owner);
      }
    } finally {
      this.isBusy = false;
    }
  }

  /** The names of the files that an owner left. @param {string} owner */
  left(owner) {
    return readdirSync(this.spool.place).filter((name) => name.startsWith(`${owner}-`));
  }

  /** Have a batch sent, and wait until it is settled, or set aside: that one is tried again between others. @param {string} name */
  async send(name) {
    // At an earlier look it was set aside.
    if (this.spool.files.has(name)) return;
    const batch = this.isOver ? undefined : this.read(name);
    if (!batch) return;
    this.delivery.adopt([batch]);
    while (this.isInTheWay()) await this.spool.removed(LOOK_ASIDE);
    // One of its own is next.
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Whether the next batch has to wait for those that were taken over before. */
  isInTheWay() {
    const adopted = this.delivery.outbox.batches.filter((each) => each.adopted);
    return adopted.some(({ place }) => place !== "aside") || adopted.reduce((sum, { size }) => sum + size, 0) > MOST_ASIDE;
  }

  /**
   * The names of the batches among what an owner left, in order, without those that it was replacing by their halves when
   * it died: if both halves are there, they are sent, else the whole. What is of no use is removed.
   *
   * @param {string[]} names
   */
  tidied(names) {
    const ids = new Map(names.flatMap((name) => (BATCH.test(name) ? [[/** @type {any} */ (BATCH.exec(name))[1], name]] : [])));
    const isReplaced = (/** @type {string} */ id) => ids.has(`${id}.0`) && ids.has(`${id}.1`);
    const whole = (/** @type {string} */ id) => id.replace(/\.[01]$/, "");
    const useless = [...ids].filter(([id]) => isReplaced(id) || (whole(id) !== id && ids.has(whole(id)) && !isReplaced(whole(id))));
    for (const [id] of useless) ids.delete(id);
    const kept = [...ids].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, name]) => name);
    const left = names.filter((name) => name.endsWith(".tmp") || (name.endsWith(".lost") && !ids.has(name.slice(0, -5))));
    for (const name of [...useless.map(([, name]) => name), ...left]) rmSync(join(this.spool.place, name), { force: true });
    return kept;
  }

  /** The batch in a file; undefined if it cannot be sent. @param {string} name */
  read(name) {
    const [, id, packed] = /** @type {RegExpExecArray} */ (BATCH.exec(name));
    let bytes;
    try {
      bytes = this.bytes(join(this.spool.place, name));
      const text = packed ? gunzipSync(bytes, { maxOutputLength: MOST }).toString() : bytes.toString();
      const batch = storedBatch(id, bytes, !!packed, split(text).length);
      batch.answerLost = this.spool.adopt(batch);
      return batch;
    } catch (error) {
      // It was settled since the look at the directory.
      if (/** @type {NodeJS.ErrnoException} */ (error).code === "ENOENT") return undefined;
      // What could be read is damaged, and reading it again will not help.
      if (bytes) this.bury(name);
      this.tell(name, `${join(this.spool.place, name)} cannot be sent ${bytes ? "and is in dead/" : "and stays there"}: ${error}`);
      return undefined;
    }
  }

  /** What is in a file of this user, to which no other one may write; not through a link. @param {string} path */
  bytes(path) {
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { uid, mode, size } = fstatSync(file);
      if (!fstatSync(file).isFile() || size > MOST) throw new Error("it is no file of a sensible size");
      if (uid !== process.geteuid?.() || mode & 0o022) throw new Error("another user may have written it");
      return readFileSync(file);
    } finally {
      closeSync(file);
    }
  }

  /** @param {string} name */
  bury(name) {
    const dead = join(this.spool.place, "dead");
    try {
      makeDirectory(dead);
      renameSync(join(this.spool.place, name), join(dead, `${name}.damaged`));
    } catch {
      // It stays, and is looked at again.
    }
  }

  /** @param {string} name @param {string} text */
  tell(name, text) {
    if (this.said.has(name)) return;
    this.said.add(name);
    this.delivery.platform.say(text);
  }
}
