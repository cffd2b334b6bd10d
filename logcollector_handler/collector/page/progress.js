// The sign that a search goes on: how far back it has looked, and a button that stops it.

import { $ } from "./dom.js";
import { iso, moment } from "./times.js";

export class Progress {
  // Calls `stop()` when somebody wants the search to stop.
  constructor(stop) {
    this.box = $("#progress");
    this.looked = new Map();
    this.box.querySelector("button").addEventListener("click", stop);
  }

  // One of the searches of the page has `looked` down to a time; null: it is over. `bounds` are those in time.
  report(name, looked, bounds = {}) {
    if (looked === null) this.looked.delete(name);
    else this.looked.set(name, looked);
    this.box.hidden = this.looked.size === 0;
    if (this.box.hidden) return;
    const [bar, text] = this.box.children;
    // The search that has the farthest to go.
    const reached = Math.max(...this.looked.values());
    text.textContent = `Searching … ${moment(reached)} and later is done`;
    text.title = iso(reached);
    const end = typeof bounds.until === "number" ? Math.min(bounds.until, Date.now() / 1000) : Date.now() / 1000;
    if (typeof bounds.since === "number" && end > bounds.since) bar.value = (end - reached) / (end - bounds.since);
    else bar.removeAttribute("value");
  }

  clear() {
    this.looked.clear();
    this.box.hidden = true;
  }
}
