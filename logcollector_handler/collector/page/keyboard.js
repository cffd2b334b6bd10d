// The keys of the page, which act while no field has the focus.

import { $ } from "./dom.js";

// Calls `actions[key]()` when that key is pressed.
export function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("#login").open) return;
    const field = event.target.closest("input, select, textarea");
    if (field) {
      // Escape leaves the field, and keeps what was typed.
      if (event.key === "Escape") {
        event.preventDefault();
        field.blur();
      }
      return;
    }
    // The browser itself closes a dialog with Escape, and presses a button with Enter.
    if (event.key === "Escape" && $("#request").open) return;
    if (event.key === "Enter" && event.target.closest("button")) return;
    const act = actions[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
