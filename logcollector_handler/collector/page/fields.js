// The fields of an entry: columns, and the keys of its metadata at any depth.

import { FIELDS } from "./model.js";

// The fields that lists show unless others are chosen.
export const DEFAULT_COLUMNS = "service,logger";
// Lines have room for so many.
export const MAX_COLUMNS = 10;
// What each line shows in any case.
const ALWAYS = ["created_at", "level", "message", "duration_ms"];

function first(value, path) {
  if (Array.isArray(value)) {
    for (const each of value) {
      const found = first(each, path);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (!path.length) return value;
  if (value === null || typeof value !== "object") return undefined;
  // Each dot is a step into an object, or stands in the name of a key.
  for (let length = 1; length <= path.length; length += 1) {
    const key = path.slice(0, length).join(".");
    const found = Object.hasOwn(value, key) ? first(value[key], path.slice(length)) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

// The value of a field of an entry, the first one if there are several; undefined if there is none.
export function valueAt(entry, field) {
  if (FIELDS.includes(field) && field !== "logger") return entry[field];
  return first(entry.metadata, field.replace(/^metadata\./, "").split("."));
}

// A value as text.
export const text = (value) => (typeof value === "string" ? value : json(value));

// JSON in which whole numbers of any size have all of their digits (see `api`).
export function json(value, indent = undefined) {
  return JSON.stringify(value, (_, each) => (typeof each === "bigint" ? JSON.rawJSON(String(each)) : each), indent);
}

// The names of the fields that these entries have, without those that each line shows, at most `most`.
export function fieldsIn(entries, most) {
  const names = new Set();
  for (const entry of entries) {
    for (const name of [...Object.keys(entry), ...Object.keys(entry.metadata ?? {})]) {
      if (!["id", "metadata", "stack_trace", ...ALWAYS].includes(name) && !name.includes(",")) names.add(name);
      if (names.size >= most) return [...names];
    }
  }
  return [...names];
}
