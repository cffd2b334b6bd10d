// Counts by the values of fields, as a table: each group with its count as a bar, when it came, and its first and last
// time. A click on a group lists its entries.

import { get, parts } from "./api.js";
import { $, button, count, el, entries, svg } from "./dom.js";
import { valueAt } from "./fields.js";
import { closeMenus, fieldInput, label, onOpen } from "./menus.js";
import { added, has, term } from "./quote.js";
import { time } from "./entry.js";

// Errors of the same kind at the same place.
const ERRORS = "error_type,file_path,function_name";
const READY = { "": "no groups", [ERRORS]: "errors by place", level: "level", service: "service", logger: "logger", path: "path", user_id: "user_id", message: "message" };
const BUCKETS = 30;
const MOST = 200;
// Characters that the collector cuts values to.
const CUT = 200;

export class Groups {
  // `on.failed(error)`, and `on.report(looked, bounds)` while a search goes on. `known()` are names of fields.
  constructor(state, on, known) {
    this.state = state;
    this.on = on;
    this.box = $("#groups");
    onOpen("#group", (panel) => this.fill(panel, known()));
  }

  fill(panel, known) {
    const use = (group) => {
      closeMenus();
      this.state.set({ group, entry: "", open: "" });
    };
    const now = this.state.get("group");
    panel.replaceChildren(
      el("div.ranges", {}, ...Object.entries(READY).map(([by, text]) => button(by === now ? "button.set" : "button", text, () => use(by), { "data-by": by }))),
      fieldInput(known, "Count", use),
    );
  }

  show() {
    const by = this.state.get("group");
    label("#group", by === ERRORS ? "Errors" : by ? `By ${by}` : "Group", by !== "");
  }

  end() {
    this.loading?.abort();
    this.loading = null;
    this.box.hidden = true;
  }

  async begin() {
    this.end();
    const { signal } = (this.loading = new AbortController());
    const by = this.state.get("group");
    const asking = { ...this.state.asked, ...this.state.bounds, by, buckets: BUCKETS, limit: MOST };
    this.box.hidden = false;
    let sum = null;
    try {
      for await (const answer of parts("logs/groups", asking, signal)) {
        sum = sum === null ? answer : together(sum, answer);
        this.draw(sum, by.split(","));
        asking.since ??= answer.since;
        asking.until ??= answer.since + answer.width * BUCKETS;
        this.on.report(answer.looked_to, asking);
      }
    } catch (error) {
      if (!signal.aborted) {
        this.box.replaceChildren();
        this.on.failed(error);
      }
    } finally {
      if (!signal.aborted) this.on.report(null);
    }
  }

  stop() {
    this.loading?.abort();
    this.on.report(null);
  }

  draw({ groups, others, at_least: atLeast }, by) {
    if (!groups.length) {
      this.box.replaceChildren(el("p", {}, `No entry of this time matches and has ${by[0]}.`));
      return;
    }
    const most = groups[0].count;
    const names = by.join() === ERRORS ? ["error", "place", "function"] : by;
    const head = [...names, "count", "over time", "first", "last"].map((name) => el("th", { scope: "col" }, name));
    const more = atLeast ? " There are too many groups to count each: some have more entries than is shown." : "";
    const rest = others ? [el("p", {}, `${entries(others)} in further groups.${more}`)] : [];
    this.box.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...groups.map((group) => this.row(group, by, names, most)))), ...rest);
  }

  row(group, by, names, most) {
    const cells = group.values.map((value, n) => {
      const shown = value === null ? "none" : value;
      const inside = n === 0 ? button("button.link", shown, () => this.choose(group, by), { title: "List these entries" }) : shown;
      return el(value === null ? "td.name.none" : "td.name", { "data-label": names[n] }, inside);
    });
    const bar = el("span.share", { "aria-hidden": "true" });
    bar.style.setProperty("--share", `${(group.count / most) * 100}%`);
    return el("tr", {}, ...cells,
      el("td.count", { "data-label": "count" }, el("b", {}, count(group.count)), bar),
      el("td.spark", { "data-label": "over time" }, sparkline(group.counts)),
      el("td", { "data-label": "first" }, time(group.first)),
      el("td", { "data-label": "last" }, time(group.last)));
  }

  // Lists the entries of a group. What the collector cut is taken from the entry that came last.
  async choose(group, by) {
    try {
      const isCut = group.values.some((value) => value?.length >= CUT);
      const last = isCut ? (await get(`logs/${group.last_id}`, { around: 1 })).log : null;
      const terms = group.values.map((value, n) => {
        if (value === null) return `-${has(by[n])}`;
        return term(by[n], value.length >= CUT ? (valueAt(last, by[n]) ?? value) : value);
      });
      this.state.set({ q: terms.reduce(added, this.state.get("q")), group: "" });
    } catch (error) {
      this.on.failed(error);
    }
  }
}

// The groups of two parts of a search, the largest first.
function together(one, other) {
  const sum = new Map(one.groups.map((group) => [JSON.stringify(group.values), group]));
  for (const group of other.groups) {
    const key = JSON.stringify(group.values);
    const before = sum.get(key);
    sum.set(key, before === undefined ? group : {
      ...before,
      count: before.count + group.count,
      first: Math.min(before.first, group.first),
      last: Math.max(before.last, group.last),
      last_id: Math.max(before.last_id, group.last_id),
      counts: before.counts.map((number, n) => number + group.counts[n]),
    });
  }
  const groups = [...sum.values()].sort((a, b) => b.count - a.count || b.last - a.last);
  return { groups, others: one.others + other.others, at_least: one.at_least || other.at_least };
}

function sparkline(counts) {
  const most = Math.max(...counts);
  const bars = counts.map((number, n) => svg("rect", { x: n + 0.1, width: 0.8, y: 20 - (number ? Math.max((number / most) * 20, 1.5) : 0), height: number ? Math.max((number / most) * 20, 1.5) : 0 }));
  return svg("svg", { viewBox: `0 0 ${counts.length} 20`, preserveAspectRatio: "none", role: "img", "aria-label": `over time: ${counts.join(" ")}` }, ...bars);
}
