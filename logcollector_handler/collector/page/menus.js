// What all menus of the header have in common: one is open at a time; Escape, and a click elsewhere, close it.

import { $, el } from "./dom.js";

export function closeMenus() {
  const open = document.querySelector("details.menu[open]");
  if (!open) return false;
  const hadFocus = open.contains(document.activeElement);
  open.open = false;
  if (hadFocus) open.querySelector("summary").focus();
  return true;
}

// Calls `fill(panel)` each time that the menu opens.
export function onOpen(selector, fill) {
  const menu = $(selector);
  menu.addEventListener("toggle", () => menu.open && fill(menu.querySelector(".panel")));
}

export function label(selector, text, isSet) {
  const summary = $(`${selector} > summary`);
  summary.textContent = text;
  summary.classList.toggle("set", isSet);
}

// A text field for any field of an entry, with those that are known offered; calls `use(name)` on Enter or the button.
export function fieldInput(names, text, use) {
  const list = el("datalist", { id: "known-fields" }, ...names.map((name) => el("option", { value: name })));
  const input = el("input", { list: "known-fields", placeholder: "any field, user.plan", "aria-label": text, spellcheck: "false", maxlength: "200" });
  const chosen = () => input.value.trim() && use(input.value.trim());
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    // Enter in a form would submit it.
    event.preventDefault();
    chosen();
  });
  return el("div.any", {}, input, list, el("button", { type: "button", onclick: chosen }, text));
}

document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest("details.menu")) closeMenus();
});
document.addEventListener("focusin", (event) => {
  if (!event.target.closest("details.menu[open]")) closeMenus();
});
