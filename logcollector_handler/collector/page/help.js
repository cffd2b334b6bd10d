// The help of one screen: the query language, by examples that can be clicked, and the keys.

import { $, button, el } from "./dom.js";

const EXAMPLES = [
  ["Words", [
    ["timeout", "a word of message or stack trace, or its beginning"],
    ['"no such card"', "these words together"],
    ["*conn", "anywhere in a word"],
    ["card bank", "both"],
    ["card OR bank", "either; also (a OR b) c"],
    ["-refund", "without it; also NOT refund"],
  ]],
  ["Fields", [
    ["service:shop", "a column, or a key of metadata, is this"],
    ["status!=200", "is not this, or is missing"],
    ["duration_ms>50", "also < <= >= for numbers, times and levels"],
    ["level>=WARN", "WARNING and CRITICAL are known, too"],
    ["path:/api/*", "begins with it; *order* contains it"],
    ["user.plan:pro", "a key at any depth, by its path"],
    ['"strange key":"a value"', 'quotes for anything; \\" is a quote'],
    ["has:trace_id", "there is such a value; -has:… there is none"],
  ]],
  ["Ids and times", [
    ["req-8123f0", "an id of a trace, user, session or request: paste it"],
    ["created_at>-10m", "a time; the menu of the time has from and to as well"],
  ]],
];

const KEYS = [["/", "search"], ["j k", "next, previous entry"], ["Enter", "open or close it"], ["p", "pause or follow"], ["g", "newest"], ["t", "light or dark"], ["?", "this help"], ["Esc", "close"]];

export class Help {
  // `use(query)` puts an example into the search box.
  constructor(use) {
    this.dialog = $("#help");
    const rows = ([query, text]) => [
      el("dt", {}, button("button.example", query, () => (this.dialog.close(), use(query)))),
      el("dd", {}, text),
    ];
    $("#help-text").append(
      ...EXAMPLES.map(([title, examples]) => el("section", {}, el("h3", {}, title), el("dl", {}, ...examples.flatMap(rows)))),
      el("section", {}, el("h3", {}, "Clicking"), el("p", {}, "Any value of an opened entry filters by it, excludes it, or makes a column or groups of it. Drag across the bars above to look at that time; with the keyboard: ← and →, with Shift to choose, Enter.")),
      el("section.keys", {}, el("h3", {}, "Keys"), el("p", {}, ...KEYS.flatMap(([keys, text]) => [...keys.split(" ").flatMap((key) => [el("kbd", {}, key), " "]), `${text}   `]))),
    );
    $("#help-open").addEventListener("click", () => this.open());
    $("#help-close").addEventListener("click", () => this.dialog.close());
  }

  open() {
    if (!this.dialog.open) this.dialog.showModal();
  }
}
