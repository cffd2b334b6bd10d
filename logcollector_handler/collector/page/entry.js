// One entry: its line in a list, and the details shown when the line is opened.

import { button, copy, count, duration, el } from "./dom.js";
import { json, text, valueAt } from "./fields.js";
import { IDS } from "./model.js";
import { fieldOf } from "./quote.js";
import { iso, parts } from "./times.js";
import { trace } from "./trace.js";
import { tree, value } from "./tree.js";

// What a person calls the thing that an id names: "trace" for "trace_id".
export const named = (id) => id.replace(/_id$/, "");

// What has a place of its own. All other columns are listed.
const APART = ["id", "message", "stack_trace", "metadata"];
// Characters of a message that a line shows, and of a long one that the details show at once.
const LINE = 600;
const LONG = 20_000;

export function line(entry, columns) {
  return el(
    `div.line.${entry.level}`,
    { role: "button", tabindex: "-1", "aria-expanded": "false" },
    time(entry.created_at),
    el("span.level", {}, entry.level),
    ...columns.map((name) => cell(name, valueAt(entry, name))),
    el("span.message", {}, entry.message.slice(0, LINE)),
    el("span.took", {}, entry.duration_ms === undefined ? "" : duration(entry.duration_ms)),
  );
}

export function time(created) {
  const found = parts(created);
  const attributes = { title: iso(created) };
  if (!found) return el("time", attributes, String(created));
  return el("time", attributes, el("span.dim", {}, `${found.date} `), found.time, el("span.dim", {}, found.zone));
}

function cell(name, item) {
  if (item === undefined) return el("span.cell.none", { "data-field": name }, "–");
  const shown = text(item).slice(0, LINE);
  return el("span.cell", { title: `${name}: ${shown}`, "data-field": name }, shown);
}

// `on.value(button, field, value)` is called when a value is clicked, `field` being its name in a query, or null;
// `on.request(name, id)` shows all entries with the same id, `on.around(id)` the lines around this one.
export function details(entry, on) {
  const box = el("div.details");
  box.append(actions(entry, on));
  if (entry.message.length > 120 || entry.message.includes("\n")) box.append(long(entry.message));
  if (entry.stack_trace) box.append(el("h3", {}, "Stack trace"), trace(entry.stack_trace));
  const columns = el("div.columns");
  columns.append(section("Fields", fields(entry, on), " · click a value to filter by it"));
  if (Object.keys(entry.metadata ?? {}).length) {
    const inside = { value: (pressed, path, item) => on.value(pressed, fieldOf(path, entry.metadata), item) };
    columns.append(section("Metadata", tree(entry.metadata, "", inside)));
  }
  box.append(columns);
  return box;
}

function actions(entry, on) {
  const box = el("div.actions");
  for (const name of IDS.filter((each) => entry[each] !== undefined)) {
    box.append(button("button", `Whole ${named(name)}`, () => on.request(name, entry[name]), { "data-id": name, title: `All of this ${named(name)}, in order` }));
  }
  const link = el("a.button", { href: `?entry=${entry.id}`, "data-around": "", title: "A link to this entry, with the lines around it" }, "Lines around");
  link.addEventListener("click", (event) => {
    // With a key held down the browser opens another tab or window.
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    on.around(entry.id);
  });
  if (on.around) box.append(link);
  box.append(button("button", "Copy link", (event) => copy(event.currentTarget, link.href)));
  box.append(button("button", "Copy as JSON", (event) => copy(event.currentTarget, json(entry, 2))));
  return box;
}

const section = (title, list, more = "") => el("section", {}, el("h3", {}, title, el("span", {}, more)), list);

function fields(entry, on) {
  const list = el("dl");
  for (const name of Object.keys(entry).filter((each) => !APART.includes(each))) {
    const shown = value(entry[name], name, on);
    if (name === "created_at") shown[0].textContent = iso(entry[name]);
    if (name === "duration_ms") shown[0].textContent = `${count(entry[name])} ms`;
    list.append(el("dt", {}, name), el("dd", {}, ...shown));
  }
  return list;
}

function long(message) {
  const box = el("pre.text", {}, message.slice(0, LONG));
  if (message.length <= LONG) return box;
  const more = button("button.more", `Show all ${count(message.length)} characters`, () => {
    box.textContent = message;
  });
  box.append(" ", more);
  return box;
}
