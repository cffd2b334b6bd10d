// The histogram: levels over time as stacked bars. Dragging across it, with a mouse, a finger or Shift and the arrow
// keys, chooses a time; so does a click on one bar, or Enter.

import { parts } from "./api.js";
import { $, count, entries, svg } from "./dom.js";
import { LEVELS } from "./model.js";
import { interval, moment } from "./times.js";

const HEIGHT = 100;
const BUCKETS = 90;

export class Histogram {
  // Calls `narrow(since, until)`, in Unix seconds, when a time is chosen.
  constructor(narrow) {
    this.narrow = narrow;
    this.svg = $("#histogram svg");
    this.axis = $("#histogram .axis").children;
    this.total = $("#total");
    this.since = 0;
    this.width = 0; // Seconds of a bar.
    this.labels = [];
    this.from = null; // The bars between these two are marked; null: none is.
    this.to = null;
    this.chosen = svg("rect", { class: "chosen", y: 0, height: HEIGHT });
    this.svg.setAttribute("viewBox", `0 0 ${BUCKETS} ${HEIGHT}`);
    this.svg.setAttribute("aria-valuemax", BUCKETS - 1);
    this.svg.setAttribute("aria-label", "Time: arrow keys move, with Shift they choose, Enter shows that time");
    this.listen();
  }

  listen() {
    let held = null; // The pointer that drags.
    const at = (event) => {
      const box = this.svg.getBoundingClientRect();
      return Math.min(Math.max(Math.floor(((event.clientX - box.left) / box.width) * BUCKETS), 0), BUCKETS - 1);
    };
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.width) return;
      held = event.pointerId;
      this.svg.setPointerCapture(held);
      this.mark(at(event), at(event));
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (event.pointerId === held) this.mark(this.from, at(event));
      else if (held === null) this.point(at(event));
    });
    this.svg.addEventListener("pointerup", (event) => {
      if (event.pointerId !== held) return;
      held = null;
      this.choose();
    });
    // The browser takes a finger that moves up or down, to scroll the page.
    this.svg.addEventListener("pointercancel", () => ((held = null), this.mark(null, null)));
    this.svg.addEventListener("pointerleave", () => held === null && this.point(null));
    this.svg.addEventListener("blur", () => this.mark(null, null));
    this.svg.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10 }[event.key];
    if (step) {
      const to = this.to === null ? (step > 0 ? 0 : BUCKETS - 1) : Math.min(Math.max(this.to + step, 0), BUCKETS - 1);
      this.mark(event.shiftKey && this.from !== null ? this.from : to, to);
    } else if ((event.key === "Enter" || event.key === " ") && this.from !== null) {
      this.choose();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  choose() {
    const [first, last] = [Math.min(this.from, this.to), Math.max(this.from, this.to)];
    this.mark(null, null);
    this.narrow(this.since + first * this.width, this.since + (last + 1) * this.width);
  }

  // Marks the bars between two.
  mark(from, to) {
    [this.from, this.to] = [from, to];
    this.chosen.remove();
    this.point(to);
    if (from === null) return;
    const [first, last] = [Math.min(from, to), Math.max(from, to)];
    this.chosen.setAttribute("x", first);
    this.chosen.setAttribute("width", last - first + 1);
    this.svg.append(this.chosen);
    this.svg.setAttribute("aria-valuenow", to);
    if (first !== last) this.axis[1].textContent = interval(this.since + first * this.width, this.since + (last + 1) * this.width);
    this.svg.setAttribute("aria-valuetext", this.axis[1].textContent);
  }

  // Tells what a bar stands for; null: none.
  point(bar) {
    this.axis[1].textContent = bar === null ? "" : (this.labels[bar] ?? "");
  }

  // Asks for the counts, and shows them as they come. `report(looked, bounds)` is called with how far the collector has
  // looked. Returns how many answers that took.
  async load(asked, bounds, signal, report) {
    const asking = { ...asked, ...this.rounded(bounds), buckets: BUCKETS };
    let sum = null;
    let answers = 0;
    try {
      for await (const answer of parts("logs/histogram", asking, signal)) {
        answers += 1;
        sum = sum === null ? answer : { ...answer, counts: added(sum.counts, answer.counts) };
        this.show(sum, answer.looked_to !== null);
        // Without bounds the first answer has those of all entries; what continues it has to be asked for the same.
        asking.since ??= answer.since;
        asking.until ??= answer.since + answer.width * BUCKETS;
        report(answer.looked_to, asking);
      }
    } finally {
      report(null);
    }
    return answers;
  }

  // Bounds that end now, rounded to multiples of a bar's width, so that a bar stands for the same time in each update.
  rounded({ since, until }) {
    const now = Date.now() / 1000;
    if (typeof since !== "number" || until !== undefined || since >= now) return { since, until };
    const width = Math.max(Math.round(now - since), 1) / BUCKETS;
    const end = Math.ceil(now / width) * width;
    return { since: end - width * BUCKETS, until: end };
  }

  // Takes the answer to `GET /logs/histogram`.
  show({ since, width, counts }, isPart) {
    const totals = Array.from({ length: BUCKETS }, (_, n) => LEVELS.reduce((sum, level) => sum + (counts[level]?.[n] ?? 0), 0));
    const most = Math.max(1, ...totals);
    const sum = totals.reduce((one, other) => one + other, 0);
    this.since = since;
    // Without logs the collector answers with meaningless times.
    this.width = sum ? width : 0;
    this.labels = totals.map((total, n) => this.label(total, n, counts));
    this.svg.replaceChildren(...totals.map((_, n) => this.bar(n, most, counts)));
    this.mark(this.from, this.to);
    this.total.textContent = `${entries(sum)}${isPart ? " so far" : ""}`;
    this.axis[0].textContent = sum ? moment(since) : "";
    this.axis[2].textContent = sum ? moment(since + BUCKETS * width) : "";
  }

  label(total, n, counts) {
    const said = LEVELS.filter((level) => counts[level]?.[n]).map((level) => `${level} ${count(counts[level][n])}`);
    return `${interval(this.since + n * this.width, this.since + (n + 1) * this.width)}   ${said.reverse().join("  ") || "nothing"}`;
  }

  bar(n, most, counts) {
    const group = svg("g", { class: "bar" }, svg("rect", { class: "back", x: n, y: 0, width: 1, height: HEIGHT }));
    let top = HEIGHT;
    for (const level of LEVELS) {
      const number = counts[level]?.[n] ?? 0;
      if (!number) continue;
      // At least 2, so that one error among a million entries can be seen.
      const height = Math.max((number / most) * (HEIGHT - 12), 2);
      top -= height;
      group.append(svg("rect", { class: `part ${level}`, x: n + 0.08, y: Math.max(top, 0), width: 0.84, height }));
    }
    return group;
  }
}

function added(counts, more) {
  const sum = { ...counts };
  for (const [level, row] of Object.entries(more)) sum[level] = row.map((number, n) => number + (counts[level]?.[n] ?? 0));
  return sum;
}
