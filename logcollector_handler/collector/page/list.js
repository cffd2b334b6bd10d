// A list of entries: one is chosen, each can be opened, by mouse and by keyboard.

import { el } from "./dom.js";
import { details, line } from "./entry.js";

export class List {
  // `element` is the <ol>; `on` has `value`, `request` and `around` (see entry.js), and `opened()`, called after somebody
  // opened or closed an entry.
  constructor(element, on) {
    this.element = element;
    this.on = on;
    this.columns = [];
    element.addEventListener("click", (event) => {
      const row = event.target.closest(".line");
      if (row) {
        this.choose(row.parentElement);
        this.toggle(row.parentElement);
      }
    });
  }

  item(entry, decorate = () => {}) {
    const row = line(entry, this.columns);
    const item = el("li", {}, row);
    item.entry = entry;
    item.decorate = decorate;
    decorate(row);
    return item;
  }

  // Shows these fields in each line.
  show(columns) {
    this.element.style.setProperty("--cells", cells(columns));
    if (columns.join() === this.columns.join()) return;
    this.columns = columns;
    for (const item of this.element.children) {
      const before = item.firstChild;
      const row = line(item.entry, columns);
      for (const name of ["tabindex", "aria-expanded"]) row.setAttribute(name, before.getAttribute(name));
      item.decorate(row);
      before.replaceWith(row);
    }
  }

  get entries() {
    return [...this.element.children].map((item) => item.entry);
  }

  get chosen() {
    return this.element.querySelector(":scope > li.chosen");
  }

  get open() {
    return [...this.element.querySelectorAll(":scope > li.open")];
  }

  choose(item) {
    if (!item) return;
    const before = this.chosen;
    if (before) {
      before.classList.remove("chosen");
      before.firstChild.tabIndex = -1;
    }
    item.classList.add("chosen");
    item.firstChild.tabIndex = 0;
    item.firstChild.focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest" });
  }

  // Lets the first line be reached with the Tab key, if no line is chosen.
  offer() {
    if (!this.chosen && this.element.firstElementChild) this.element.firstElementChild.firstChild.tabIndex = 0;
  }

  move(step) {
    const chosen = this.chosen;
    if (!chosen) this.choose(this.element.firstElementChild);
    else this.choose(step > 0 ? chosen.nextElementSibling : chosen.previousElementSibling);
  }

  toggle(item = this.chosen) {
    if (!item) return;
    this.turn(item);
    this.on.opened();
  }

  turn(item) {
    const isOpen = item.classList.toggle("open");
    item.firstChild.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) item.append(details(item.entry, this.on));
    else item.lastChild.remove();
  }

  // Opens the entries with these ids, and closes all others. Returns how many of them the list has.
  sync(ids) {
    const wanted = new Set(ids);
    let found = 0;
    for (const item of this.element.children) {
      const isWanted = wanted.has(String(item.entry.id));
      if (isWanted) found += 1;
      if (isWanted !== item.classList.contains("open")) this.turn(item);
    }
    return found;
  }

  // Closes all open entries; returns whether there were any.
  close() {
    const { open } = this;
    for (const item of open) this.turn(item);
    if (open.length) this.on.opened();
    return open.length > 0;
  }
}

// The widths of level and columns in the grid of a line.
export const cells = (columns) => ["5ch", ...columns.map(() => "minmax(5ch, 18ch)")].join(" ");
