// What the page shows. All of it is in the page's address, so that a link and a reload show the same, and Back undoes a
// step.

import { DEFAULT_COLUMNS, MAX_COLUMNS } from "./fields.js";
import { IDS } from "./model.js";
import { added, term } from "./quote.js";
import { seconds } from "./times.js";

// Each with the value that the address leaves out.
const DEFAULTS = {
  q: "", // The query, in the language of the search box.
  min_level: "",
  service: "",
  since: "-1h", // A time as `times` reads them; "all" is any.
  until: "", // The same; empty is now.
  columns: DEFAULT_COLUMNS, // Fields with commas between.
  group: "", // The fields by which entries are counted, with commas between; empty: the entries are listed.
  open: "", // The ids of the entries that are open in the list, with commas between.
  entry: "", // The id of the one entry that is shown with the lines around it; empty: the list is shown.
  trace_id: "", // The trace, user or session of which all entries are shown, in a dialog.
  user_id: "",
  session_id: "",
};

// The values of a state that shows no trace, user or session.
export const NO_REQUEST = Object.fromEntries(IDS.map((name) => [name, ""]));

export class State {
  // Calls `changed(before)` after a step, where `before` has the values that were.
  constructor(changed) {
    this.changed = changed;
    this.values = { ...DEFAULTS };
    window.addEventListener("popstate", () => this.follow());
  }

  get(name) {
    return this.values[name];
  }

  // Takes over some values: as a step that Back undoes, or `inPlace` of the last one.
  set(some, inPlace = false) {
    const before = this.values;
    this.values = { ...before, ...some };
    if (Object.keys(DEFAULTS).every((name) => before[name] === this.values[name])) return;
    history[inPlace ? "replaceState" : "pushState"](null, "", this.address(this.values));
    this.changed(before);
  }

  // Takes over the address of the page.
  follow() {
    const before = this.values;
    const given = new URLSearchParams(location.search);
    this.values = Object.fromEntries(Object.entries(DEFAULTS).map(([name, value]) => [name, given.get(name) ?? value]));
    this.readOld(given);
    this.changed(before);
  }

  // Links to the page of version 0.1.0.
  readOld(given) {
    const terms = ["environment", "logger"].filter((name) => given.get(name)).map((name) => term(name, given.get(name)));
    this.values.q = [given.get("text"), ...terms].filter(Boolean).reduce(added, this.values.q);
    const range = given.get("range");
    if (range && !given.has("since")) this.values.since = range === "all" ? range : `-${range}s`;
  }

  // The address of the page with these values; all others are left out.
  address(values) {
    const asked = new URLSearchParams();
    for (const [name, value] of Object.entries(values)) if (value !== DEFAULTS[name]) asked.set(name, value);
    return String(asked) ? `?${asked}` : location.pathname;
  }

  get columns() {
    return this.values.columns.split(",").filter(Boolean).slice(0, MAX_COLUMNS);
  }

  // The ids of the open entries.
  get open() {
    return this.values.open.split(",").filter(Boolean);
  }

  // All filters but those by time, as parameters of a request.
  get asked() {
    const { q, min_level: level, service } = this.values;
    return { q, min_level: level, service };
  }

  get isFiltered() {
    return Object.values(this.asked).some(Boolean);
  }

  get isAllTime() {
    return this.values.since === "all" && !this.values.until;
  }

  // The bounds in time as parameters: numbers, or what the collector will say is no time.
  get bounds() {
    const { since, until } = this.values;
    const bounds = { since: since === "all" ? "" : since, until };
    return Object.fromEntries(Object.entries(bounds).filter(([, text]) => text).map(([name, text]) => [name, seconds(text) ?? text]));
  }

  // Whether the time ends before now, so that nothing new belongs to it.
  get isPast() {
    return this.values.until !== "" && this.bounds.until < Date.now() / 1000;
  }

  // The name and the id of the trace, user or session that is shown; null if none is.
  get request() {
    const name = IDS.find((each) => this.values[each]);
    return name ? [name, this.values[name]] : null;
  }
}
