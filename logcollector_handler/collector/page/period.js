// The menu of the time: ranges that are ready, and fields for any other.

import { $, button } from "./dom.js";
import { closeMenus, label, onOpen } from "./menus.js";
import { WRITTEN, interval, kept, moment, seconds } from "./times.js";

const RANGES = { "-15m": "15 minutes", "-1h": "1 hour", "-6h": "6 hours", "-24h": "24 hours", "-7d": "7 days", all: "all time" };

export class Period {
  constructor(state) {
    this.state = state;
    this.fields = $("#filters").elements;
    this.wrong = $("#time-wrong");
    for (const [since, text] of Object.entries(RANGES)) {
      $("#time .ranges").append(button("button", text, () => this.set(since, ""), { "data-since": since }));
    }
    onOpen("#time", () => this.fill());
    $("#time-apply").addEventListener("click", () => this.apply());
    for (const name of ["since", "until"]) {
      this.fields[name].addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        this.apply();
      });
    }
  }

  set(since, until) {
    closeMenus();
    this.state.set({ since, until, entry: "", open: "" });
  }

  fill() {
    this.wrong.hidden = true;
    for (const name of ["since", "until"]) this.fields[name].value = this.typed(this.state.get(name));
    for (const each of $("#time .ranges").children) each.classList.toggle("set", each.dataset.since === this.state.get("since") && !this.state.get("until"));
  }

  // A time as people would type it.
  typed(text) {
    if (!text || text === "all" || text.startsWith("-")) return text === "all" ? "" : text;
    const time = seconds(text);
    return time === null ? text : moment(time, { millis: time % 1 !== 0 });
  }

  apply() {
    const [since, until] = ["since", "until"].map((name) => this.fields[name].value.trim());
    // Up to now is without an end.
    const times = [since || "all", until === "now" ? "" : until].map((text) => (text === "all" || !text ? text : kept(text)));
    const bad = [since, until][times.indexOf(null)];
    if (bad !== undefined) return this.refuse(`“${bad}” is not a time: ${WRITTEN}.`);
    if (since && until && seconds(since) >= seconds(until)) return this.refuse("The end is not after the beginning.");
    this.set(...times);
  }

  refuse(text) {
    this.wrong.textContent = text;
    this.wrong.hidden = false;
  }

  show() {
    const [since, until] = [this.state.get("since"), this.state.get("until")];
    const from = seconds(since);
    const to = seconds(until);
    const ready = RANGES[since] && !until ? (since === "all" ? "all time" : `last ${RANGES[since].replace(/^1 /, "")}`) : null;
    // Where both ends are dates, they are told together.
    const isDate = (text) => text !== "" && text !== "all" && !text.startsWith("-");
    const both = isDate(since) && isDate(until) && from !== null && to !== null ? interval(from, to) : null;
    const end = until ? `until ${this.typed(until)}` : "";
    label("#time", ready ?? both ?? [since === "all" ? "" : `since ${this.typed(since)}`, end].filter(Boolean).join(" "), since !== "-1h" || until !== "");
  }
}
