// Writes terms of the query language for values that are clicked, and adds them to a query. Pure: no element is touched.

import { FIELDS } from "./model.js";

// Maximum of characters in a query, and of dots in the name of a key: the collector refuses longer ones.
export const MAX_QUERY = 1000;
const MAX_DOTS = 11;

const quoted = (text) => `"${text.replace(/[\\"]/g, "\\$&")}"`;
const written = (text, bare) => (bare.test(text) ? text : quoted(text));

// The field that a key of `metadata` is in a query: its dotted path, or metadata.path where a column has that name; the
// column `logger` is the key of that name, where it is text. null if no query can name it.
export function fieldOf(path, metadata) {
  const lower = path.toLowerCase();
  if (!path || path.split(".").length > MAX_DOTS + 1) return null;
  const isTaken = FIELDS.includes(lower) || lower === "has" || lower === "metadata" || lower.startsWith("metadata.");
  return isTaken && !(path === "logger" && typeof metadata.logger === "string") ? `metadata.${path}` : path;
}

const named = (field) => written(field, /^[A-Za-z_][\w.\-@/$]*$/);

// The field is this value: text, a number, true, false or null.
export function term(field, value) {
  return `${named(field)}:${written(String(value), /^[A-Za-z0-9_][\w.\-@/]*$/)}`;
}

export const has = (field) => `has:${named(field)}`;

// The pieces of a query that stand beside each other: words, terms, groups in parentheses, OR.
function pieces(query) {
  const found = [];
  let piece = "";
  let depth = 0;
  for (const [text] of query.matchAll(/"(?:[^"\\]|\\.)*"?|\s+|[\s\S]/g)) {
    if (text === "(") depth += 1;
    if (text === ")") depth -= 1;
    if (depth === 0 && !text.trim()) {
      if (piece) found.push(piece);
      piece = "";
    } else {
      piece += text;
    }
  }
  return piece ? [...found, piece] : found;
}

// The terms of a query that has no OR. AND says nothing, and NOT is the minus of the term behind it.
function terms(found) {
  const all = [];
  let minus = "";
  for (const piece of found) {
    if (piece === "NOT") minus += "-";
    else if (piece !== "AND") {
      all.push(minus + piece);
      minus = "";
    }
  }
  return all;
}

// The query with a term added, which everything that it finds matches as well. The opposite of a term goes away.
export function added(query, more) {
  const opposite = more.startsWith("-") ? more.slice(1) : `-${more}`;
  const found = pieces(query);
  const before = found.includes("OR") ? [`(${query.trim()})`] : terms(found);
  if (before.includes(more)) return query;
  return [...before.filter((piece) => piece !== opposite), more].join(" ");
}

// Whether a text is an id, as people paste it: a UUID, or letters and digits of that kind.
export const isId = (text) => /^[\w-]{8,}$/.test(text) && /\d/.test(text) && !text.startsWith("-");
