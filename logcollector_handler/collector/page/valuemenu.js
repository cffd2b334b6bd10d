// The menu that opens on a click on a value: what can be done with that value.

import { button, copy, el } from "./dom.js";
import { MAX_COLUMNS, text } from "./fields.js";
import { IDS } from "./model.js";
import { named } from "./entry.js";
import { MAX_QUERY, added, has, term } from "./quote.js";
import { NO_REQUEST } from "./state.js";
import { isoUtc } from "./times.js";

export class ValueMenu {
  constructor(state) {
    this.state = state;
    this.box = el("div", { id: "value-menu", popover: "auto", role: "menu" });
    this.box.addEventListener("keydown", (event) => this.press(event));
  }

  // Opens beside the element that was clicked. `field` is the name in a query of what it shows, or null.
  open(clicked, field, value) {
    this.box.replaceChildren(el("p", {}, field ?? "This value"), ...this.items(field, value));
    // Inside a dialog, because everything outside of one that is open cannot be used.
    (clicked.closest("dialog") ?? document.body).append(this.box);
    this.box.showPopover();
    const place = clicked.getBoundingClientRect();
    const [width, height] = [this.box.offsetWidth, this.box.offsetHeight];
    const isAbove = place.bottom + height + 8 > innerHeight && place.top > height + 8;
    this.box.style.left = `${Math.max(8, Math.min(place.left, innerWidth - width - 8))}px`;
    this.box.style.top = `${Math.max(8, isAbove ? place.top - height - 4 : Math.min(place.bottom + 4, innerHeight - height - 8))}px`;
    this.box.querySelector("button").focus();
  }

  items(field, value) {
    const items = [];
    const item = (name, text, act) => items.push(button("button", text, act, { role: "menuitem", "data-do": name }));
    const set = (some) => {
      this.box.hidePopover();
      this.state.set({ open: "", ...some, ...NO_REQUEST, entry: "" });
    };
    const query = (name, text, more) => {
      const q = added(this.state.get("q"), more);
      if (q.length <= MAX_QUERY) item(name, text, () => set({ q }));
    };
    if (field === "created_at") {
      item("since", "From here on", () => set({ since: isoUtc(Math.floor(value * 1000) / 1000) }));
      item("until", "Until here", () => set({ until: isoUtc((Math.floor(value * 1000) + 1) / 1000) }));
    } else if (field !== null) {
      query("filter", "Filter by this value", term(field, value));
      query("exclude", "Exclude this value", `-${term(field, value)}`);
      query("has", "Only where there is a value", has(field));
      if (!field.includes(",")) {
        item("group", `Count by ${field}`, () => set({ group: field }));
        const { columns } = this.state;
        const isShown = columns.includes(field);
        const changed = isShown ? columns.filter((name) => name !== field) : [...columns, field];
        if (changed.length <= MAX_COLUMNS) item("column", isShown ? "Hide this column" : "Show as a column", () => {
          this.box.hidePopover();
          this.state.set({ columns: changed.join(",") });
        });
      }
    }
    if (IDS.includes(field)) {
      item("request", `Whole ${named(field)}, in order`, () => {
        this.box.hidePopover();
        this.state.set({ ...NO_REQUEST, [field]: value });
      });
    }
    item("copy", "Copy", (event) => copy(event.currentTarget, text(value)));
    return items;
  }

  press(event) {
    const items = [...this.box.querySelectorAll("button")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
  }
}
