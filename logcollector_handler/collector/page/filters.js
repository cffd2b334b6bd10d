// The filters: those in the form, and ids and a time interval, shown as chips. The page's address contains them all.

import { $, clock, el, moment } from "./dom.js";
import { named } from "./entry.js";
import { ENVIRONMENTS, IDS, LEVELS } from "./model.js";

const NAMES = ["text", "min_level", "service", "environment", "logger"];
const DEFAULT_RANGE = "3600";

export class Filters {
  // Calls `changed()` after any filter has changed.
  constructor(changed) {
    this.form = $("#filters");
    this.fields = this.form.elements;
    this.changed = changed;
    // The filters that are not in the form: ids, and a time interval that replaces the range of the form.
    this.extra = Object.fromEntries([...IDS, "since", "until"].map((name) => [name, ""]));
    // Every entry has at least the lowest level, so the lowest is not offered as a filter.
    const above = LEVELS.slice(1);
    this.fields.min_level.append(...above.map((level) => new Option(`${level} ${level === above.at(-1) ? "only" : "and up"}`, level)));
    this.fields.environment.append(...ENVIRONMENTS.map((name) => new Option(name, name)));
    this.listen();
  }

  listen() {
    let typing = 0;
    this.fields.text.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.apply(), 250);
    });
    this.form.addEventListener("change", (event) => {
      clearTimeout(typing);
      if (event.target.name === "range") this.narrow("", "", false);
      this.apply();
    });
    this.form.addEventListener("submit", (event) => event.preventDefault());
  }

  apply() {
    this.write();
    for (const field of this.form.querySelectorAll("select")) field.classList.toggle("set", field.name !== "range" && field.value !== "");
    this.showChips();
    this.changed();
  }

  // All filters except those by time.
  get asked() {
    const asked = Object.fromEntries(NAMES.map((name) => [name, this.fields[name].value]));
    for (const name of IDS) asked[name] = this.extra[name];
    return asked;
  }

  get isFiltered() {
    return Object.values(this.asked).some((value) => value !== "");
  }

  // Whether a time interval is chosen. It is in the past, so its entries are not followed.
  get isNarrow() {
    return this.extra.since !== "";
  }

  get isAllTime() {
    return !this.isNarrow && this.fields.range.value === "all";
  }

  get bounds() {
    if (this.isNarrow) return { since: this.extra.since, until: this.extra.until };
    return this.isAllTime ? {} : { since: Date.now() / 1000 - Number(this.fields.range.value) };
  }

  // Rounded to multiples of a bar's width, so that a bar stands for the same time in each update.
  histogramBounds(buckets) {
    if (this.isNarrow || this.isAllTime) return this.bounds;
    const width = Number(this.fields.range.value) / buckets;
    const until = Math.ceil(Date.now() / 1000 / width) * width;
    return { since: until - width * buckets, until };
  }

  set(name, value) {
    if (name in this.extra) this.extra[name] = value;
    else this.choose(this.fields[name], value);
    this.apply();
  }

  narrow(since, until, apply = true) {
    Object.assign(this.extra, { since, until });
    if (apply) this.apply();
  }

  clear() {
    for (const name of NAMES) this.fields[name].value = "";
    for (const name of IDS) this.extra[name] = "";
    this.apply();
  }

  choose(field, value) {
    const isMissing = field.tagName === "SELECT" && ![...field.options].some((option) => option.value === value);
    if (isMissing && (field.name === "service" || field.name === "logger")) field.append(new Option(value, value));
    field.value = value;
  }

  // Offers the services and loggers in the collector for choice.
  offer(values) {
    for (const name of ["service", "logger"]) {
      const field = this.fields[name];
      const chosen = field.value;
      const all = [...new Set([...values[name], ...(chosen ? [chosen] : [])])];
      // Without a change keep the options: replacing them would disturb somebody who has the list open.
      if (all.join("\n") === [...field.options].slice(1).map((option) => option.value).join("\n")) continue;
      field.replaceChildren(field.options[0], ...all.map((value) => new Option(value, value)));
      field.value = chosen;
    }
  }

  read() {
    this.fields.range.value = DEFAULT_RANGE;
    for (const [name, value] of new URLSearchParams(location.search)) {
      if (name in this.extra) this.extra[name] = value;
      else if (name === "range" || NAMES.includes(name)) this.choose(this.fields[name], value);
    }
    // Somebody may have typed an address with an unknown range.
    if (!this.fields.range.value) this.fields.range.value = DEFAULT_RANGE;
    this.apply();
  }

  write() {
    const asked = new URLSearchParams();
    for (const name of NAMES) if (this.fields[name].value) asked.set(name, this.fields[name].value);
    if (this.fields.range.value !== DEFAULT_RANGE) asked.set("range", this.fields.range.value);
    for (const [name, value] of Object.entries(this.extra)) if (value !== "") asked.set(name, value);
    history.replaceState(null, "", String(asked) ? `?${asked}` : location.pathname);
  }

  showChips() {
    const chip = (text, clear) => el("button.chip", { type: "button", title: "Remove this filter", onclick: clear }, text, " ✕");
    const ids = IDS.filter((name) => this.extra[name]);
    const chips = ids.map((name) => chip(`${named(name)} ${this.extra[name]}`, () => this.set(name, "")));
    if (this.isNarrow) {
      const text = `${moment(Number(this.extra.since))} – ${clock(Number(this.extra.until))}`;
      chips.push(chip(text, () => this.narrow("", "")));
    }
    $("#chips").replaceChildren(...chips);
  }
}
