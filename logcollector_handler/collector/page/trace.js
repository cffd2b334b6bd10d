// A stack trace of Python that emphasizes file, line, function and exception, and dims the frames of libraries.

import { button, count, el } from "./dom.js";

const FRAME = /^(\s*)File "(.*)", line (\d+)(?:, in (.*))?$/;
const LIBRARY = /[\\/](site-packages|dist-packages|lib[\\/]python3[^\\/]*)[\\/]|^<frozen /;
// Lines that are shown at once.
const MOST = 500;

export function trace(text) {
  const box = el("pre.trace");
  const rows = text.trimEnd().split("\n");
  let library = false;
  const show = (some) => {
    for (const row of some) {
      const frame = FRAME.exec(row);
      if (frame) {
        library = LIBRARY.test(frame[2]);
        box.append(frameOf(frame, library));
      } else if (/^\s/.test(row) || row === "") {
        box.append(el(library ? "span.code.library" : "span.code", {}, `${row}\n`));
      } else {
        const isText = /^(Traceback|During handling|The above exception|Stack \(most)/.test(row);
        box.append(el(isText ? "span.dim" : "span.raised", {}, `${row}\n`));
      }
    }
  };
  show(rows.slice(0, MOST));
  if (rows.length > MOST) {
    const more = button("button.more", `Show all ${count(rows.length)} lines`, () => (more.remove(), show(rows.slice(MOST))));
    box.append(more);
  }
  return box;
}

function frameOf([, indent, path, number, name], library) {
  const cut = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1;
  return el(
    library ? "span.frame.library" : "span.frame",
    {},
    `${indent}File "`, el("span.dim", {}, path.slice(0, cut)), el("b", {}, path.slice(cut)), `", line `, el("b", {}, number),
    ...(name === undefined ? [] : [", in ", el("b", {}, name)]),
    "\n",
  );
}
