// The search box, and the lists of levels and services beside it. A wrong query is shown below the box, with the place.

import { $, el } from "./dom.js";
import { LEVELS } from "./model.js";
import { isId } from "./quote.js";

// Milliseconds without typing after which the query is asked.
const TYPING = 300;

export class Search {
  constructor(state) {
    this.state = state;
    this.fields = $("#filters").elements;
    this.wrong = $("#wrong");
    this.timer = 0;
    // While somebody types on, the query changes within one step of the history.
    this.isTyping = false;
    // Every entry has at least the lowest level, so the lowest is not offered.
    const above = LEVELS.slice(1);
    this.fields.min_level.append(...above.map((level) => new Option(`${level} ${level === above.at(-1) ? "only" : "and up"}`, level)));
    this.listen();
  }

  listen() {
    const box = this.fields.q;
    box.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.ask(false), TYPING);
    });
    box.addEventListener("change", () => this.done());
    box.addEventListener("blur", () => this.done());
    // The text is in the box once this event is over.
    box.addEventListener("paste", () => setTimeout(() => this.done(true)));
    $("#filters").addEventListener("submit", (event) => {
      event.preventDefault();
      this.done();
    });
    for (const name of ["min_level", "service"]) {
      this.fields[name].addEventListener("change", () => this.state.set({ [name]: this.fields[name].value }));
    }
  }

  // Asks what is in the box. A pasted id is looked for in all time: nobody knows how old it is.
  ask(isPasted) {
    clearTimeout(this.timer);
    const q = this.fields.q.value.trim();
    const all = isPasted && isId(q) ? { since: "all", until: "" } : null;
    if (q === this.state.get("q") && !all) return;
    this.state.set({ q, ...all, entry: "", open: "" }, this.isTyping);
    this.isTyping = true;
  }

  done(isPasted = false) {
    this.ask(isPasted);
    this.isTyping = false;
  }

  show() {
    const { q, min_level: level, service } = this.state.asked;
    if (this.fields.q.value.trim() !== q) this.fields.q.value = q;
    this.fields.min_level.value = level;
    if (service && ![...this.fields.service.options].some((option) => option.value === service)) {
      this.fields.service.append(new Option(service, service));
    }
    this.fields.service.value = service;
    for (const name of ["min_level", "service"]) this.fields[name].classList.toggle("set", this.fields[name].value !== "");
  }

  // Offers the services in the collector for choice. Without a change it keeps the options: replacing them would disturb
  // somebody who has the list open.
  offer(services) {
    const field = this.fields.service;
    const all = [...new Set([...services, ...(field.value ? [field.value] : [])])];
    if (all.join("\n") === [...field.options].slice(1).map((option) => option.value).join("\n")) return;
    const chosen = field.value;
    field.replaceChildren(field.options[0], ...all.map((value) => new Option(value, value)));
    field.value = chosen;
  }

  get isRefused() {
    return !this.wrong.hidden;
  }

  // Shows why the collector refuses the query, with the wrong character marked; null: it does not.
  refuse(error) {
    this.wrong.hidden = error === null;
    this.fields.q.setAttribute("aria-invalid", String(error !== null));
    if (error === null) return;
    // The collector counts characters, JavaScript halves of some.
    const signs = [...this.state.get("q")];
    const at = error.position;
    const mark = el("mark", {}, signs[at] ?? " ");
    this.wrong.replaceChildren(
      el("span", {}, error.message.replace(/^q: /, "")),
      el("code", {}, signs.slice(0, at).join(""), mark, signs.slice(at + 1).join("")),
    );
  }
}
