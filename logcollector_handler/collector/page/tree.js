// A value of JSON as a tree that folds. A part of it is made when it is unfolded, a hundred keys at a time: so a value of
// any size takes no time.

import { button, count, el } from "./dom.js";
import { text } from "./fields.js";

// Keys that are shown at once.
const STEP = 100;
// Characters of a text that are shown at once.
const LONG = 2000;
// Objects with so few keys are unfolded at the beginning.
const SMALL = 8;

// The values in `holder` (an object or a list) as a <dl>. `path` is that of the holder, with a dot at its end, or empty;
// `on.value(button, path, value)` is called when somebody clicks a value.
export function tree(holder, path, on) {
  const list = el("dl");
  const isList = Array.isArray(holder);
  const keys = isList ? holder.keys() : Object.keys(holder).values();
  let left = isList ? holder.length : Object.keys(holder).length;
  const more = button("button.more", "", () => grow());
  function grow() {
    more.remove();
    for (let n = 0; n < STEP && left > 0; n += 1, left -= 1) {
      const key = keys.next().value;
      // The elements of a list are found by the path of the list.
      const inside = isList ? path.slice(0, -1) : path + key;
      list.append(el("dt", {}, String(key)), el("dd", {}, ...value(holder[key], inside, on)));
    }
    if (left > 0) {
      more.textContent = `Show ${count(Math.min(STEP, left))} of ${count(left)} more`;
      list.append(more);
    }
  }
  grow();
  return list;
}

// The elements that show one value.
export function value(item, path, on) {
  if (item === null || typeof item !== "object") return [leaf(item, path, on)];
  const isList = Array.isArray(item);
  const size = isList ? item.length : Object.keys(item).length;
  const summary = isList ? `[ ${count(size)} ]` : `{ ${count(size)} }`;
  if (size === 0) return [el("span.empty", {}, isList ? "[ ]" : "{ }")];
  const fold = button("button.fold", summary, () => {
    const isOpen = fold.getAttribute("aria-expanded") === "true";
    fold.setAttribute("aria-expanded", String(!isOpen));
    if (isOpen) fold.nextElementSibling.remove();
    else fold.after(tree(item, `${path}.`, on));
  }, { "aria-expanded": "false" });
  const box = el("div.node", {}, fold);
  if (size <= SMALL && path.split(".").length < 3) fold.click();
  return [box];
}

function leaf(item, path, on) {
  const whole = text(item);
  const shown = button(`button.value.${item === null ? "null" : typeof item}`, whole.slice(0, LONG), () => on.value(shown, path, item), { "aria-haspopup": "menu" });
  if (whole.length <= LONG) return shown;
  const rest = button("button.more", `Show all ${count(whole.length)} characters`, () => {
    shown.textContent = whole;
    rest.remove();
  });
  return el("div", {}, shown, " ", rest);
}
