// The dialog that asks for the token of the collector.

import { useToken } from "./api.js";
import { $ } from "./dom.js";

export class Login {
  // Calls `changed()` when a token was entered.
  constructor(changed) {
    this.dialog = $("#login");
    $("#login form").addEventListener("submit", () => {
      useToken($("#token").value);
      $("#token").value = "";
      changed();
    });
  }

  ask() {
    if (this.dialog.open) return;
    $("#login-wrong").hidden = !sessionStorage.getItem("token");
    this.dialog.showModal();
  }
}
