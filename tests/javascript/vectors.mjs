/** Reads the vectors that both languages share. `vectors.py` says what the kinds of values are. */
import { readFileSync } from "node:fs";

import { entryMaker } from "../../logcollector_handler/javascript/entry.js";
import { masking } from "../../logcollector_handler/javascript/patterns.js";
import { redactor } from "../../logcollector_handler/javascript/redact.js";

export const COMMON = { service: "shop", environment: "production", serviceVersion: "v1", logType: "BACKEND" };
export const ORIGIN = { logger: "shop", process: 1, thread: "main" };
export const CALLER = { function: "buy", file: "/srv/shop.py", line: 7 };
export const redact = redactor();
export const maker = entryMaker(COMMON, redact);

/** What makes the entry of a vector, which may have settings of its own. */
export function makerOf({ redact: names, patterns = [] }) {
  return entryMaker(COMMON, redactor(names), masking(patterns.map((each) => (each === "common" ? each : new RegExp(each)))));
}

export const vectors = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url), "utf8"));

/** The line of a call. */
export function line(level, message, fields, more = {}, by = maker) {
  return by.line({ level, message, fields, time: 1700000000.5, caller: CALLER, origin: ORIGIN, ...more });
}

/** The value that a vector means. */
export function decode(value) {
  if (Array.isArray(value)) return value.map(decode);
  if (typeof value !== "object" || value === null) return value;
  switch (value.$) {
    case undefined:
      return withFields(value);
    case "nan":
      return NaN;
    case "inf":
      return Infinity;
    case "-inf":
      return -Infinity;
    case "repeat":
      return value.text.repeat(value.count);
    case "bytes":
      return new TextEncoder().encode(value.text);
    case "set":
      return new Set(value.items);
    case "map":
      return new Map(value.pairs);
    case "error":
      return Object.assign(new Error(value.message), { name: value.type });
    case "cycle": {
      const loop = { list: [] };
      loop.self = loop;
      loop.list.push(loop);
      return loop;
    }
    case "twice": {
      const shared = { a: 1 };
      return [shared, shared];
    }
    case "deep":
    case "deep list": {
      let deep = "bottom";
      for (let level = 0; level < value.levels; level++) deep = value.$ === "deep" ? { in: deep } : [deep];
      return deep;
    }
  }
  throw new Error(`there is no kind ${value.$}`);
}

/** As JSON.parse does it: a field named `__proto__` is one like others. */
function withFields(value) {
  const made = {};
  for (const name of Object.keys(value)) {
    Object.defineProperty(made, name, { value: decode(value[name]), enumerable: true, writable: true, configurable: true });
  }
  return made;
}
