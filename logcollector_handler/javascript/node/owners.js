/**
 * Owners: whether the process that a file of the spool belongs to is alive, and which process sends what a dead one left.
 *
 * Node has no lock on a file that ends with its process. A socket does: the worker listens on one beside its files, and
 * for as long as the process lives, busy or stopped, the system takes connections to it; of a dead process's it refuses
 * them. That holds for processes of one machine, in whatever containers. Where a directory is shared by machines, a batch
 * may be sent by two of them: under one key.
 *
 *     <owner>.sock           the socket of an owner; the ids of its batches begin with `<owner>`
 *     <owner>.<heir>.claim   that file, renamed by the process that sends what the dead owner left
 *
 * Only one process can rename a file, and an owner never lives again; so of many processes one is the heir, and if that
 * dies, one of the others. Owners without a socket are left alone, and those with a `.lock`: a Python process is or was
 * at work there, whose lock cannot be asked for from here.
 */
import { chmodSync, closeSync, constants, openSync, renameSync, rmSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";

const OWNER = "[0-9a-f]{12}-[0-9a-f]{16}";
const SOCKET = new RegExp(`^(${OWNER})\\.sock$`);
const CLAIM = new RegExp(`^(${OWNER})\\.(${OWNER})\\.claim$`);
/** Bytes that the address of a socket may have: as few as on macOS. */
const LONGEST = 103;

export class Owners {
  /** @param {string} place the directory @param {string} own the owner that this process is */
  constructor(place, own) {
    this.place = place;
    this.own = own;
    /** @type {net.Server | undefined} */
    this.server = undefined;
  }

  /** Show that this process is alive. The directory must be there. @returns {Promise<boolean>} whether others can see it */
  async appear() {
    const server = net.createServer((socket) => socket.destroy());
    // There may be no descriptor for a connection: whoever made it knows enough.
    server.on("error", () => {});
    const name = `${this.own}.new`;
    const directory = openSync(this.place, constants.O_RDONLY);
    try {
      await new Promise((resolve, reject) => {
        server.once("error", reject);
        // Not handed to the primary process of a cluster, which outlives this one.
        server.listen({ path: this.address(directory, name), exclusive: true }, () => resolve(undefined));
      });
      server.unref();
      chmodSync(join(this.place, name), 0o600);
      // Under its name only when it takes connections.
      renameSync(join(this.place, name), join(this.place, `${this.own}.sock`));
      this.server = server;
      return true;
    } catch {
      // The file system has no sockets, or the path is too long.
      server.close();
      rmSync(join(this.place, name), { force: true });
      return false;
    } finally {
      closeSync(directory);
    }
  }

  /** The process ends and has nothing in the directory. */
  vanish() {
    if (this.server) rmSync(join(this.place, `${this.own}.sock`), { force: true });
  }

  /**
   * Claim what dead processes left.
   *
   * @param {string[]} names of the files in the directory
   * @returns {Promise<string[]>} the owners whose batches this process sends, the oldest first
   */
  async claim(names) {
    const locked = new Set(names.filter((name) => name.endsWith(".lock")).map((name) => name.slice(0, -5)));
    const claimed = [];
    for (const name of names) {
      const [, owner, heir = owner] = SOCKET.exec(name) ?? CLAIM.exec(name) ?? [];
      if (!owner || owner === this.own || locked.has(owner)) continue;
      if (heir !== this.own && ((await this.isAlive(heir)) || !this.rename(name, owner))) continue;
      claimed.push(owner);
    }
    return claimed.sort();
  }

  /** All that an owner left is sent. @param {string} owner */
  release(owner) {
    rmSync(join(this.place, `${owner}.${this.own}.claim`), { force: true });
  }

  /** @param {string} name @param {string} owner */
  rename(name, owner) {
    try {
      renameSync(join(this.place, name), join(this.place, `${owner}.${this.own}.claim`));
      return true;
    } catch {
      // Another process was quicker.
      return false;
    }
  }

  /** @param {string} owner @returns {Promise<boolean>} */
  isAlive(owner) {
    return new Promise((resolve) => {
      const directory = openSync(this.place, constants.O_RDONLY);
      const socket = net.connect({ path: this.address(directory, `${owner}.sock`) });
      /** @param {boolean} alive */
      const end = (alive) => {
        socket.destroy();
        closeSync(directory);
        resolve(alive);
      };
      socket.once("connect", () => end(true));
      // With any other error nothing is known.
      socket.once("error", (/** @type {NodeJS.ErrnoException} */ { code }) => end(code !== "ECONNREFUSED" && code !== "ENOENT"));
    });
  }

  /**
   * The address of a socket, which must be short: on Linux a path through the open directory is.
   *
   * @param {number} directory
   * @param {string} name
   */
  address(directory, name) {
    const path = process.platform === "linux" ? `/proc/self/fd/${directory}/${name}` : join(this.place, name);
    if (Buffer.byteLength(path) > LONGEST) throw new RangeError(`${path} is too long`);
    return path;
  }
}
