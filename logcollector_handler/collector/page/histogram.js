// The histogram: levels over time as stacked bars. A click on a bar chooses its time interval.

import { $, clock, count, moment, svg } from "./dom.js";
import { LEVELS } from "./model.js";

const HEIGHT = 100;

export class Histogram {
  // Calls `narrow(since, until)`, in Unix seconds, when a bar is chosen.
  constructor(narrow) {
    this.svg = $("#histogram svg");
    this.axis = $("#histogram .axis").children;
    const chosen = (event) => {
      const bar = event.target.closest(".bar");
      if (bar) narrow(Number(bar.dataset.since), Number(bar.dataset.until));
    };
    this.svg.addEventListener("click", chosen);
    this.svg.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        event.stopPropagation();
        chosen(event);
      }
    });
  }

  // Takes the answer to `GET /logs/histogram`.
  show({ since, width, counts }, buckets) {
    const totals = Array.from({ length: buckets }, (_, n) => LEVELS.reduce((sum, level) => sum + (counts[level]?.[n] ?? 0), 0));
    const most = Math.max(1, ...totals);
    this.svg.setAttribute("viewBox", `0 0 ${buckets} ${HEIGHT}`);
    this.svg.replaceChildren(...totals.map((total, n) => this.bar(n, total, most, since + n * width, width, counts)));
    const sum = totals.reduce((one, other) => one + other, 0);
    const until = since + buckets * width;
    // Without logs the collector answers with meaningless times.
    this.axis[0].textContent = sum ? moment(since, false) : "";
    this.axis[1].textContent = `${count(sum)} ${sum === 1 ? "entry" : "entries"}`;
    this.axis[2].textContent = sum ? moment(until, false) : "";
  }

  bar(n, total, most, since, width, counts) {
    const parts = [svg("rect", { class: "back", x: n, y: 0, width: 1, height: HEIGHT })];
    const said = [];
    let top = HEIGHT;
    for (const level of LEVELS) {
      const number = counts[level]?.[n] ?? 0;
      if (!number) continue;
      // At least 2, so that one error among a million entries can be seen.
      const height = Math.max((number / most) * (HEIGHT - 12), 2);
      top -= height;
      parts.push(svg("rect", { class: `part ${level}`, x: n + 0.08, y: Math.max(top, 0), width: 0.84, height }));
      said.unshift(`${level} ${count(number)}`);
    }
    const label = `${clock(since)} – ${clock(since + width)}\n${said.join("\n") || "nothing"}`;
    const group = svg("g", { class: "bar" }, svg("title", {}, label), ...parts);
    group.dataset.since = since;
    group.dataset.until = since + width;
    if (total) {
      group.setAttribute("tabindex", "0");
      group.setAttribute("role", "button");
      group.setAttribute("aria-label", label.replaceAll("\n", ", "));
    }
    return group;
  }
}
