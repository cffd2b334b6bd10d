// The columns of the list: their heads, and the menu in which they are chosen.

import { $, button, el } from "./dom.js";
import { DEFAULT_COLUMNS, MAX_COLUMNS, fieldsIn } from "./fields.js";
import { cells } from "./list.js";
import { fieldInput, label, onOpen } from "./menus.js";
import { parts } from "./times.js";

// Fields that the menu offers.
const OFFERED = 40;

export class Columns {
  // `shown()` are the entries in the list.
  constructor(state, shown) {
    this.state = state;
    this.shown = shown;
    onOpen("#columns", (panel) => this.fill(panel));
  }

  fill(panel) {
    const chosen = this.state.columns;
    const names = [...new Set([...chosen, ...fieldsIn(this.shown(), OFFERED)])];
    const full = chosen.length >= MAX_COLUMNS;
    const box = (name) => {
      const input = el("input", { type: "checkbox", value: name, onchange: () => this.turn(name) });
      input.checked = chosen.includes(name);
      input.disabled = full && !input.checked;
      return el("label", {}, input, name);
    };
    panel.replaceChildren(
      full ? el("p", {}, `Lines have room for ${MAX_COLUMNS} columns.`) : fieldInput(names, "Add", (name) => this.add(name, panel)),
      el("div.choices", {}, ...names.map(box)),
      button("button", "As at the beginning", () => (this.state.set({ columns: DEFAULT_COLUMNS }), this.fill(panel))),
    );
  }

  turn(name) {
    const { columns } = this.state;
    this.set(columns.includes(name) ? columns.filter((each) => each !== name) : [...columns, name]);
  }

  add(name, panel) {
    if (!this.state.columns.includes(name)) this.set([...this.state.columns, ...name.split(",").map((each) => each.trim())]);
    this.fill(panel);
    panel.querySelector(".any input")?.focus();
  }

  set(columns) {
    this.state.set({ columns: columns.join(",") });
  }

  show() {
    const { columns } = this.state;
    label("#columns", "Columns", this.state.get("columns") !== DEFAULT_COLUMNS);
    const { zone } = parts(Date.now() / 1000);
    // The widths of 2026-01-31 12:00:00.000+01:00 and of the same with Z.
    document.documentElement.style.setProperty("--time", zone === "Z" ? "25ch" : "30ch");
    const heads = $("#heads");
    heads.style.setProperty("--cells", cells(columns));
    heads.replaceChildren(...[`time (${zone === "Z" ? "UTC" : zone})`, "level", ...columns, "message", "took"].map((name) => el("span", { title: name }, name)));
  }
}
