/**
 * The spool: a directory in which each batch is a file until it is settled, named and laid out as Python's handler does
 * it (`delivery/spool/files.py`), so that `logcollector spool replay` sends what a process left behind.
 *
 * `heritage.js` sends what other processes of Node left. A Python process that uses the same directory cannot ask whether
 * one of Node is alive (see `owners.js`): it may send its batches, too, under the same keys, which the server takes once.
 */
import { createHash } from "node:crypto";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The bytes that all files of a destination may take. */
const MAX_BYTES = 2 ** 30;
/** A file takes whole blocks of the disk. */
const BLOCK = 4096;

/** @typedef {import("../batch.js").Batch} Batch */

/**
 * The name of the directory for what goes to a server, the same as Python's.
 *
 * @param {string} serverUrl
 */
export function destination(serverUrl) {
  const match = /^([a-z]+):\/\/(?:[^/@]*@)?(\[[^\]]*\]|[^:/]*)(?::(\d+))?(.*)$/i.exec(serverUrl);
  if (!match) throw new TypeError("no URL");
  const [, scheme, shown, port, path] = match;
  const host = shown.toLowerCase().replace(/[[\]]/g, "");
  const plain = `${scheme.toLowerCase()}://${host}:${port ? Number(port) : "None"}${path}`;
  const name = host.replace(/[^a-z0-9.-]/g, "_") + (port ? `_${Number(port)}` : "");
  return `${name.slice(0, 80)}-${createHash("sha256").update(plain).digest("hex").slice(0, 8)}`;
}

/** Whether batches for a server lie in a directory, of whatever process. @param {string} directory @param {string} serverUrl */
export function isAnythingLeft(directory, serverUrl) {
  try {
    return readdirSync(join(directory, destination(serverUrl))).some((name) => /\.json(\.gz)?$/.test(name));
  } catch {
    // There is no such directory.
    return false;
  }
}

/** @param {number} size */
const charge = (size) => Math.max(BLOCK, Math.ceil(size / BLOCK) * BLOCK);

export class Spool {
  /**
   * @param {string} directory
   * @param {string} serverUrl
   */
  constructor(directory, serverUrl) {
    this.place = join(directory, destination(serverUrl));
    /** What the files take, once the directory was looked at. @type {number | undefined} */
    this.used = undefined;
    /** The sizes of those of this process, by name. @type {Map<string, number>} */
    this.files = new Map();
    /** Who waits for a file to be removed. @type {Set<() => void>} */
    this.waiting = new Set();
  }

  /** @param {Batch} batch */
  name = ({ id, compressed }) => `${id}.json${compressed ? ".gz" : ""}`;

  /**
   * Take over the file of a batch that another process left. Returns whether the server may have stored it.
   *
   * @param {Batch} batch
   */
  adopt(batch) {
    this.files.set(this.name(batch), charge(batch.size));
    return existsSync(join(this.place, `${batch.id}.lost`));
  }

  /** Resolved when a file is removed, or after that many milliseconds. @param {number} milliseconds @returns {Promise<void>} */
  removed(milliseconds) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.waiting.add(done);
    });
  }

  /** Whether a batch outlives the process. @param {Batch} batch */
  holds(batch) {
    return this.files.has(this.name(batch));
  }

  /** @param {Batch} batch */
  put(batch) {
    const size = charge(batch.size);
    const used = this.used ?? this.open();
    if (used + size > MAX_BYTES) throw new Error(`${this.place} is full`);
    this.write(this.place, this.name(batch), batch.bytes);
    this.files.set(this.name(batch), size);
    this.used = used + size;
  }

  /** @param {Batch} batch */
  remove(batch) {
    const name = this.name(batch);
    this.used = (this.used ?? 0) - (this.files.get(name) ?? 0);
    if (this.files.delete(name)) rmSync(join(this.place, name), { force: true });
    if (batch.answerLost) rmSync(join(this.place, `${batch.id}.lost`), { force: true });
    for (const done of [...this.waiting]) done();
  }

  /** @param {Batch} batch */
  bury(batch) {
    const dead = join(this.place, "dead");
    this.open();
    makeDirectory(dead);
    this.write(dead, this.name(batch), batch.bytes);
  }

  /** Note that the server may have stored a batch. @param {Batch} batch */
  noteLost(batch) {
    if (this.holds(batch)) writeFileSync(join(this.place, `${batch.id}.lost`), "", { mode: 0o600 });
  }

  /** Make the directory, and see what is in it. */
  open() {
    mkdirSync(join(this.place, ".."), { recursive: true, mode: 0o700 });
    makeDirectory(this.place);
    this.used = 0;
    for (const name of readdirSync(this.place)) {
      const status = lstatSync(join(this.place, name), { throwIfNoEntry: false });
      if (status?.isFile()) this.used += charge(status.size);
    }
    return this.used;
  }

  /** A file appears under its name when it is complete. @param {string} place @param {string} name @param {Uint8Array} [bytes] */
  write(place, name, bytes = new Uint8Array()) {
    const temporary = join(place, `${name}.tmp`);
    try {
      writeFileSync(temporary, bytes, { mode: 0o600, flag: "wx" });
      renameSync(temporary, join(place, name));
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
  }
}

/** Make a directory for this user alone, and refuse one that others may write to. @param {string} path */
export function makeDirectory(path) {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const status = lstatSync(path);
  const user = process.geteuid?.();
  if (!status.isDirectory()) throw new Error(`${path} is a link or a file, not a directory`);
  if (user !== undefined && status.uid !== user) throw new Error(`${path} belongs to user ${status.uid}`);
  if (status.mode & 0o022) throw new Error(`other users may write to ${path}; chmod go-w it`);
  if (status.mode & 0o077) chmodSync(path, 0o700);
}
