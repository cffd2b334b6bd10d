// The dialog with all entries of one trace, user or session, in order, each with a bar for its start and duration.

import { get } from "./api.js";
import { $, count, duration, el, entries } from "./dom.js";
import { named } from "./entry.js";
import { List } from "./list.js";
import { term } from "./quote.js";
import { NO_REQUEST } from "./state.js";
import { moment } from "./times.js";

const LIMIT = 1000;

export class RequestView {
  // `on` is as that of a List, with `failed(error)`.
  constructor(state, on) {
    this.state = state;
    this.dialog = $("#request");
    this.on = on;
    this.list = new List($("#request-rows"), { ...on, opened: () => {} });
    $("#request-close").addEventListener("click", () => this.dialog.close());
    $("#request-filter").addEventListener("click", () => this.leave());
    this.dialog.addEventListener("close", () => this.state.request && this.state.set(NO_REQUEST));
  }

  // Shows what the state says, whatever its age.
  async show() {
    const { request } = this.state;
    if (request === null) {
      this.dialog.close();
      return;
    }
    const [name, id] = request;
    try {
      const { logs, next } = await get("logs", { [name]: id, limit: LIMIT });
      // Meanwhile another one may have been chosen.
      if (this.state.get(name) !== id) return;
      this.fill(name, id, logs.reverse(), next !== null);
      if (!this.dialog.open) this.dialog.showModal();
      this.list.choose(this.list.element.firstElementChild);
    } catch (error) {
      this.on.failed(error);
    }
  }

  // The list of these entries alone: no other filter is kept.
  leave() {
    const [name, id] = this.state.request;
    this.state.set({ ...NO_REQUEST, q: term(name, id), min_level: "", service: "", since: "all", until: "", group: "", entry: "", open: "" });
  }

  fill(name, id, logs, isCut) {
    // An entry with a duration is logged at the end of what it measures, so its start is computed. Entries are sorted by
    // start; of those with the same start, the one that ends last contains the others and comes first.
    const start = (entry) => entry.created_at - Math.max(entry.duration_ms ?? 0, 0) / 1000;
    logs.sort((one, other) => start(one) - start(other) || other.created_at - one.created_at);
    const spans = logs.map((entry) => [start(entry), entry.created_at]);
    const begin = Math.min(...spans.map(([from]) => from));
    const end = Math.max(...spans.map(([, to]) => to));
    const whole = Math.max(end - begin, 1e-6);
    const errors = logs.filter((entry) => entry.level === "ERROR" || entry.level === "FATAL").length;
    const services = new Set(logs.map((entry) => entry.service).filter(Boolean));
    $("#request-title").replaceChildren(`${named(name)} `, el("code", {}, id));
    $("#request-summary").textContent = [
      // Fewer than were asked for, if they are large.
      `${isCut ? "the newest " : ""}${entries(logs.length)}`,
      logs.length ? moment(begin) : "",
      logs.length ? duration((end - begin) * 1000) : "",
      services.size ? [...services].join(", ") : "",
      errors ? `${count(errors)} ${errors === 1 ? "error" : "errors"}` : "",
    ].filter(Boolean).join("  ·  ");
    this.list.element.replaceChildren(
      ...logs.map((entry, n) =>
        this.list.item(entry, (row) => {
          const [from, to] = spans[n];
          const bar = el("span.bar");
          bar.style.setProperty("--start", `${((from - begin) / whole) * 100}%`);
          bar.style.setProperty("--length", `${((to - from) / whole) * 100}%`);
          row.firstChild.textContent = `+${duration((from - begin) * 1000)}`;
          row.insertBefore(el("span.track", { "aria-hidden": "true" }, bar), row.lastChild);
        }),
      ),
    );
  }
}
