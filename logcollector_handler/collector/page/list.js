// A list of entries: one is chosen, each can be opened, by mouse and by keyboard.

import { el } from "./dom.js";
import { details, line } from "./entry.js";

export class List {
  // `element` is the <ol>; `on` has `request` and `filter` (see entry.js), and `opened()`, called after an entry was
  // opened or closed.
  constructor(element, on) {
    this.element = element;
    this.on = on;
    element.addEventListener("click", (event) => {
      const row = event.target.closest(".line");
      if (row) {
        this.choose(row.parentElement);
        this.toggle(row.parentElement);
      }
    });
  }

  item(entry, decorate = () => {}) {
    const row = line(entry);
    const item = el("li", {}, row);
    item.entry = entry;
    decorate(row, entry);
    return item;
  }

  get chosen() {
    return this.element.querySelector(":scope > li.chosen");
  }

  get open() {
    return this.element.querySelector(":scope > li.open");
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

  move(step) {
    const chosen = this.chosen;
    if (!chosen) this.choose(this.element.firstElementChild);
    else this.choose(step > 0 ? chosen.nextElementSibling : chosen.previousElementSibling);
  }

  toggle(item = this.chosen) {
    if (!item) return;
    const isOpen = item.classList.toggle("open");
    item.firstChild.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) item.append(details(item.entry, this.on));
    else item.lastChild.remove();
    this.on.opened();
  }

  // Closes all open entries; returns whether there were any.
  close() {
    const open = this.element.querySelectorAll(":scope > li.open");
    for (const item of open) this.toggle(item);
    return open.length > 0;
  }
}
