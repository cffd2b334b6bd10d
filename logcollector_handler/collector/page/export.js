// The menu of the export: all entries that match, not only those in the list, as a file that the collector streams.

import { address, hasToken, request } from "./api.js";
import { button, copy, count, el } from "./dom.js";
import { onOpen } from "./menus.js";

const MIB = 1024 * 1024;

export class Export {
  constructor(state, failed) {
    this.state = state;
    this.failed = failed;
    onOpen("#export", (panel) => this.fill(panel));
  }

  // `format` is ndjson or csv; `columns` the fields to write, empty for all.
  asked(format, columns) {
    return { ...this.state.asked, ...this.state.bounds, format, columns };
  }

  fill(panel) {
    const shown = ["created_at", "level", ...this.state.columns.filter((name) => !["created_at", "level", "message"].includes(name)), "message"].join(",");
    const link = (text, format, columns) => {
      const asked = this.asked(format, columns);
      if (hasToken()) return button("button", text, (event) => this.save(event.currentTarget, asked), { "data-format": format });
      return el("a.button", { href: address("logs/export", asked), download: `logs.${format}`, "data-format": format }, text);
    };
    panel.replaceChildren(
      el("p", {}, "All entries that match, the newest first."),
      link("NDJSON, all fields", "ndjson", ""),
      link("CSV, all fields", "csv", ""),
      link("CSV, the columns shown", "csv", shown),
      button("button", "Copy a curl command", (event) => copy(event.currentTarget, this.curl())),
    );
  }

  curl() {
    const header = hasToken() ? " -H 'Authorization: Bearer TOKEN'" : "";
    const quoted = address("logs/export", this.asked("ndjson", "")).href.replaceAll("'", "%27");
    return `curl -OJ${header} '${quoted}'`;
  }

  // A link cannot carry the token: the page itself receives the file, and hands it to the browser when it is whole.
  async save(pressed, asked) {
    const text = pressed.textContent;
    pressed.disabled = true;
    try {
      const response = await request("logs/export", asked);
      const pieces = [];
      let size = 0;
      for (let reader = response.body.getReader(), piece; !(piece = await reader.read()).done; ) {
        pieces.push(piece.value);
        size += piece.value.length;
        pressed.textContent = `${count(Math.ceil(size / MIB))} MiB …`;
      }
      const url = URL.createObjectURL(new Blob(pieces));
      el("a", { href: url, download: `logs.${asked.format}` }).click();
      // The browser has begun to save it by then.
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      this.failed(error);
    } finally {
      pressed.textContent = text;
      pressed.disabled = false;
    }
  }
}
