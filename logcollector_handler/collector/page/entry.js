// One entry: its line in a list, and the details shown when the line is opened.

import { clock, count, duration, el, moment } from "./dom.js";
import { IDS } from "./model.js";

// What a person calls the thing that an id names: "trace" for "trace_id".
export const named = (id) => id.replace(/_id$/, "");

// What has a place of its own. All other columns are listed.
const APART = ["id", "message", "stack_trace", "metadata"];

export function line(entry) {
  const took = entry.duration_ms === undefined ? "" : duration(entry.duration_ms);
  return el(
    `div.line.${entry.level}`,
    { role: "button", tabindex: "-1", "aria-expanded": "false" },
    el("time", { title: moment(entry.created_at) }, clock(entry.created_at)),
    el("span.level", {}, entry.level),
    el("span.service", { title: entry.service ?? "" }, entry.service ?? "–"),
    el("span.logger", { title: entry.metadata?.logger ?? "" }, String(entry.metadata?.logger ?? "")),
    // The line shows the beginning of a long message; the details show all of it.
    el("span.message", {}, entry.message.slice(0, 600)),
    el("span.took", {}, took),
  );
}

// `on.request(name, id)` shows all entries with the same id; `on.filter(name, value)` adds a filter to the list.
export function details(entry, on) {
  const box = el("div.details");
  if (entry.message.length > 120 || entry.message.includes("\n")) box.append(el("pre.text", {}, entry.message));
  if (entry.stack_trace) box.append(el("h3", {}, "Stack trace"), trace(entry.stack_trace));
  const columns = el("div.columns");
  columns.append(fields("Fields", Object.keys(entry).filter((name) => !APART.includes(name)).map((name) => [name, value(entry, name, on)])));
  const metadata = Object.entries(entry.metadata ?? {});
  if (metadata.length) {
    columns.append(fields("Metadata", metadata.map(([name, item]) => [name, name === "logger" ? filter("logger", item, on) : json(item)])));
  }
  box.append(columns);
  const copy = el("button", { type: "button" }, "Copy as JSON");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(JSON.stringify(entry, null, 2));
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "The browser did not allow it";
    }
  });
  box.append(copy);
  return box;
}

function fields(title, pairs) {
  const list = el("dl");
  for (const [name, item] of pairs) list.append(el("dt", {}, name), el("dd", {}, item));
  return el("section", {}, el("h3", {}, title), list);
}

function value(entry, name, on) {
  const item = entry[name];
  if (name === "created_at") return `${moment(item)}  (${item})`;
  if (name === "duration_ms") return `${count(item)} ms`;
  if (IDS.includes(name)) {
    return el(
      "button.link",
      { type: "button", title: `All of this ${named(name)}, in order`, "data-id": name, onclick: () => on.request(name, item) },
      item,
    );
  }
  if (name === "service" || name === "environment") return filter(name, item, on);
  if (name === "file_path" && entry.metadata?.line !== undefined) return `${item}:${JSON.stringify(entry.metadata.line)}`;
  return String(item);
}

function filter(name, item, on) {
  if (typeof item !== "string") return json(item);
  return el("button.link", { type: "button", title: `Only this ${name}`, onclick: () => on.filter(name, item) }, item);
}

function json(item) {
  if (typeof item === "string") return item;
  const text = JSON.stringify(item);
  return text.length > 80 ? el("pre", {}, JSON.stringify(item, null, 2)) : text;
}

const FRAME = /^(\s*)File "(.*)", line (\d+)(?:, in (.*))?$/;
const LIBRARY = /[\\/](site-packages|dist-packages|lib[\\/]python3[^\\/]*)[\\/]|^<frozen /;

// A Python stack trace that emphasizes file, line, function and exception, and dims the frames of libraries.
function trace(text) {
  const box = el("pre.trace");
  let library = false;
  for (const row of text.split("\n")) {
    const frame = FRAME.exec(row);
    if (frame) {
      const [, indent, path, number, name] = frame;
      const cut = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1;
      library = LIBRARY.test(path);
      box.append(
        el(
          library ? "span.frame.library" : "span.frame",
          {},
          `${indent}File "`, el("span.dim", {}, path.slice(0, cut)), el("b", {}, path.slice(cut)), `", line `, el("b", {}, number),
          ...(name === undefined ? [] : [", in ", el("b", {}, name)]),
          "\n",
        ),
      );
    } else if (/^\s/.test(row) || row === "") {
      box.append(el(library ? "span.code.library" : "span.code", {}, `${row}\n`));
    } else {
      const isText = /^(Traceback|During handling|The above exception|Stack \(most)/.test(row);
      box.append(el(isText ? "span.dim" : "span.raised", {}, `${row}\n`));
    }
  }
  return box;
}
