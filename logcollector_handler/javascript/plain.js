/**
 * Any value as JSON that the server takes, as in Python's `entry/values.py` and `entry/walk.py`: bounded, without
 * secrets, and never an error.
 *
 *     value                                JSON
 *     text                                 the same; U+0000 and lone surrogates become U+FFFD
 *     boolean, null, number                the same; NaN and infinities become null
 *     bigint                               a number where that is exact, else text
 *     undefined                            null; as a field it is left out
 *     array, Set, typed array              array
 *     object, Map, URLSearchParams …       object; keys as text
 *     ArrayBuffer, Uint8Array, Buffer      text, as UTF-8
 *     Date                                 ISO 8601
 *     what has a toJSON                    what that gives
 *     Error                                `Type: message`
 *     DOM node                             `<div#id.class>`
 *     function, symbol, anything else      its kind and name
 */
import { errorLine, errorType, isError } from "./stack.js";

/** What stands in the place of a masked value. */
export const MASK = "***";
/** Levels of containers in containers. */
const MAX_DEPTH = 20;
/** The name of the field that says how many fields were left out. */
export const MORE = "…";

/**
 * What a value may take: bytes in all, characters of one text, items of one container, and levels.
 *
 * @typedef {{bytes: number, text: number, items: number, depth: number}} Limits
 * @typedef {import("./entry.js").Redactor} Redactor
 */

/** Thrown when the values take more than the bytes that they may. */
export const FULL = Symbol("full");

/** A text with each character that the server cannot store replaced. @param {string} text */
export const clean = (text) => text.replace(/[\0\p{Surrogate}]/gu, "\ufffd");

/**
 * The text, cut to about `limit` characters, with a mark that says how many are missing.
 *
 * @param {string} text
 * @param {number} limit
 */
export function shortened(text, limit) {
  if (text.length <= limit) return text;
  const kept = Math.max(0, limit - 40);
  return `${text.slice(0, kept)}… [${text.length - kept} more characters cut]`;
}

/** The name, with a number behind it if it is taken. @param {string} name @param {object} taken */
export function unused(name, taken) {
  if (!Object.hasOwn(taken, name)) return name;
  let number = 2;
  while (Object.hasOwn(taken, `${name} (${number})`)) number = number < 10 ? number + 1 : number * 2;
  return `${name} (${number})`;
}

/** An object without a prototype: a field of any name is its own, also `__proto__`. @returns {Record<string, any>} */
export const bare = () => Object.create(null);

/** Makes values plain, for one entry. */
export class Walk {
  /**
   * @param {Redactor} redact
   * @param {Limits} limits
   */
  constructor(redact, limits) {
    this.redact = redact;
    this.limits = limits;
    this.room = limits.bytes;
    /** Something was cut or left out. */
    this.cut = false;
    /** The containers that are being walked through, to notice one inside itself. @type {Set<object>} */
    this.path = new Set();
  }

  /** @param {string} text @param {boolean} [address] */
  text(text, address) {
    if (address) text = this.redact.text(text);
    if (text.length > this.limits.text) {
      text = shortened(text, this.limits.text);
      this.cut = true;
    }
    this.spend(text.length + 2);
    return clean(text);
  }

  /** @param {number} bytes */
  spend(bytes) {
    this.room -= bytes;
    if (this.room < 0) throw FULL;
  }

  /**
   * The value of a field: the place where fields are masked by their names.
   *
   * @param {string} name
   * @param {unknown} value
   * @param {number} depth
   * @param {boolean} [address]
   */
  named(name, value, depth, address) {
    if (this.redact.secret(name)) return MASK;
    return this.value(value, depth, address || this.redact.address(name));
  }

  /**
   * @param {unknown} value
   * @param {number} depth
   * @param {boolean} [address] it is in a field that can hold a URL
   * @returns {any}
   */
  value(value, depth, address) {
    switch (typeof value) {
      case "string":
        return this.text(value, address);
      case "number":
        this.spend(3);
        return Number.isFinite(value) ? value : null;
      case "bigint":
        return Number.isSafeInteger(Number(value)) ? Number(value) : this.text(String(value));
      case "symbol":
        return this.text(String(value));
      case "function":
        return this.text(`<function ${nameOf(value) || "without a name"}>`);
      case "boolean":
        this.spend(4);
        return value;
    }
    if (value === null || value === undefined) {
      this.spend(4);
      return null;
    }
    const object = /** @type {any} */ (value);
    if (this.path.has(object)) return this.text("<itself>");
    this.path.add(object);
    try {
      return this.object(object, depth, address);
    } catch (error) {
      if (error === FULL) throw error;
      return this.text(`<${kindOf(object)}, which could not be read: ${errorType(error)}>`);
    } finally {
      this.path.delete(object);
    }
  }

  /** @param {any} value @param {number} depth @param {boolean} [address] @returns {any} */
  object(value, depth, address) {
    if (depth > MAX_DEPTH + 1) return this.tooDeep();
    if (isError(value)) return this.text(errorLine(value), true);
    if (value instanceof Date) return this.text(isNaN(value.getTime()) ? "Invalid Date" : value.toISOString());
    if ([String, Number, Boolean].some((kind) => value instanceof kind)) return this.value(value.valueOf(), depth, address);
    if (value instanceof RegExp) return this.text(String(value));
    if (typeof value.nodeType === "number" && typeof value.nodeName === "string") return this.text(describeNode(value));
    if (value instanceof ArrayBuffer || value instanceof DataView || value instanceof Uint8Array) {
      const bytes = ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);
      const kept = bytes.subarray(0, this.limits.text);
      const more = bytes.length - kept.length;
      this.cut ||= more > 0;
      return this.text(new TextDecoder().decode(kept) + (more ? `… [${more} more bytes cut]` : ""), address);
    }
    if (typeof value.toJSON === "function") {
      const inner = value.toJSON();
      if (inner !== value) return this.value(inner, depth + (typeof inner === "object" ? 1 : 0), address);
    }
    if (depth >= Math.min(MAX_DEPTH, this.limits.depth)) return this.tooDeep();
    if (Array.isArray(value) || value instanceof Set || ArrayBuffer.isView(value)) {
      return this.items(/** @type {any} */ (value), depth, address);
    }
    if (value instanceof Map || (typeof value.entries === "function" && typeof value.get === "function")) {
      return this.fields(value.entries(), value.size ?? 0, depth, address);
    }
    const names = Object.keys(value);
    if (names.length === 0 && kindOf(value) !== "Object") return this.text(`<${kindOf(value)}>`);
    return this.fields(pairsOf(value, names), names.length, depth, address);
  }

  /** @param {Iterable<unknown> & {length?: number, size?: number}} values @param {number} depth @param {boolean} [address] */
  items(values, depth, address) {
    const made = [];
    const size = values.length ?? values.size ?? 0;
    for (const each of values) {
      if (made.length === this.limits.items) {
        this.cut = true;
        made.push(`… ${size - made.length} more left out`);
        break;
      }
      made.push(this.value(each, depth + 1, address));
      this.spend(1);
    }
    return made;
  }

  /**
   * @param {Iterable<[unknown, unknown]>} pairs
   * @param {number} size
   * @param {number} depth
   * @param {boolean} [address]
   */
  fields(pairs, size, depth, address) {
    const made = bare();
    let number = 0;
    for (const [key, value] of pairs) {
      if (value === undefined) continue;
      if (number === this.limits.items) {
        this.cut = true;
        made[unused(MORE, made)] = `${size - number} more left out`;
        break;
      }
      number++;
      const name = this.text(keyText(key));
      made[unused(name, made)] = this.named(name, value, depth + 1, address);
    }
    return made;
  }

  tooDeep() {
    return this.text(`<nested deeper than ${Math.min(MAX_DEPTH, this.limits.depth)} levels>`);
  }
}

/** @param {any} value @param {string[]} names @returns {Iterable<[string, unknown]>} */
function* pairsOf(value, names) {
  for (const name of names) {
    let each;
    try {
      each = value[name];
    } catch (error) {
      each = `<could not be read: ${errorType(error)}>`;
    }
    yield [name, each];
  }
}

/** @param {unknown} key */
function keyText(key) {
  if (typeof key === "string") return key;
  return typeof key === "object" && key !== null ? `<${kindOf(key)}>` : String(key);
}

/** The name of a function; "" if it has none that can be read. @param {any} value */
export function nameOf(value) {
  try {
    return String(value.name || "");
  } catch {
    return "";
  }
}

/** The name of an object's class. @param {any} value */
function kindOf(value) {
  try {
    return String((Object.getPrototypeOf(value) ?? {}).constructor.name);
  } catch {
    return "object";
  }
}

/** @param {any} node */
function describeNode(node) {
  const name = String(node.nodeName).toLowerCase();
  const part = (/** @type {string} */ sign, /** @type {unknown} */ text) =>
    typeof text === "string" && text ? sign + text.trim().replace(/\s+/g, sign) : "";
  return `<${name}${part("#", node.id)}${part(".", node.className)}>`;
}
