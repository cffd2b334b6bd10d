// One entry, opened, with the lines before and after it: what a permalink shows.

import { get } from "./api.js";
import { $, button, el } from "./dom.js";
import { List } from "./list.js";
import { isoUtc } from "./times.js";

// Lines before and after it.
const LINES = 30;

export class Around {
  // `on` is as that of a List, with `failed(error)`.
  constructor(state, on) {
    this.state = state;
    this.on = on;
    this.box = $("#around");
    this.list = new List(el("ol", { "aria-label": "Log entries, newest first" }), { ...on, opened: () => {} });
    this.said = el("p", { role: "status" });
    this.box.append(
      el("div.head", {}, this.said, button("button", "Show in list", () => this.leave(), { id: "around-leave" })),
      this.list.element,
    );
  }

  end() {
    this.loading?.abort();
    this.loading = null;
    this.box.hidden = true;
  }

  async begin() {
    this.end();
    const { signal } = (this.loading = new AbortController());
    const id = this.state.get("entry");
    const { min_level: level, service } = this.state.asked;
    this.box.hidden = false;
    this.list.element.replaceChildren();
    this.said.textContent = "";
    try {
      const { log, newer, older } = await get(`logs/${encodeURIComponent(id)}`, { min_level: level, service, around: LINES }, signal);
      this.entry = log;
      this.list.element.replaceChildren(...[...newer, log, ...older].map((entry) => this.list.item(entry)));
      const item = this.list.element.children[newer.length];
      const filter = [service, level && `${level} and up`].filter(Boolean).join(", ");
      this.said.textContent = `Entry ${id}, with the ${newer.length + older.length} lines around it${filter ? ` of ${filter}` : ""}`;
      this.list.turn(item);
      this.list.choose(item);
      // Some of the newer lines stay in view above it.
      window.scrollTo(0, window.scrollY + item.getBoundingClientRect().top - innerHeight / 3);
    } catch (error) {
      if (!signal.aborted) this.on.failed(error);
    }
  }

  // The list of everything up to this entry, without any filter, so that the entry is in it.
  leave() {
    const until = this.entry ? isoUtc((Math.floor(this.entry.created_at * 1000) + 1) / 1000) : "";
    this.state.set({ entry: "", q: "", min_level: "", service: "", since: "all", until, group: "", open: this.entry ? String(this.entry.id) : "" });
  }
}
