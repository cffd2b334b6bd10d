// The keys of the page, which act while no field has the focus.

import { $ } from "./dom.js";
import { closeMenus } from "./menus.js";

// Calls `actions[key]()` when that key is pressed.
export function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("#login").open || $("#help").open) return;
    const field = event.target.closest("input, select, textarea");
    if (event.key === "Escape" && closeMenus()) return;
    if (field) {
      // Escape leaves the field, and keeps what was typed.
      if (event.key === "Escape") {
        event.preventDefault();
        field.blur();
      }
      return;
    }
    // The browser itself closes a dialog and a menu with Escape, and presses a button with Enter.
    if (event.key === "Escape" && ($("#request").open || $("#value-menu:popover-open"))) return;
    if (event.key === "Enter" && event.target.closest("button, a, summary")) return;
    const act = actions[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
