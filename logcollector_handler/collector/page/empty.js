// The text shown instead of an empty list: why there are no entries, and what to do about it.

import { count, el } from "./dom.js";

const python = (url) => `import logging
from logcollector_handler import LogCollectorHandler

handler = LogCollectorHandler(server_url="${url}", service="hello")
logging.basicConfig(level="INFO", handlers=[handler])
logging.getLogger("hello").info("it works", extra={"user_id": 42})
`;

const curl = (url) => `curl ${url}/logs -H 'Content-Type: application/json' \\
  -d '{"logs": [{"message": "it works", "level": "INFO", "service": "hello"}]}'
`;

// `clear` removes the filters, `widen` the bounds in time; each is false if there is nothing to remove.
export function emptyState(total, clear, widen) {
  if (!total) {
    return [
      el("h2", {}, "No logs yet"),
      el("p", {}, "They show up here as they arrive. Send the first one from Python:"),
      el("pre", {}, python(location.origin)),
      el("p", {}, "or from a shell:"),
      el("pre", {}, curl(location.origin)),
    ];
  }
  const buttons = el("p");
  if (clear) buttons.append(el("button", { type: "button", onclick: clear }, "Remove the filters"), " ");
  if (widen) buttons.append(el("button", { type: "button", onclick: widen }, "Look at all time"));
  return [
    el("h2", {}, "Nothing here"),
    el("p", {}, `None of the ${count(total)} stored entries ${clear ? "matches these filters" : "is from this time"}.`),
    buttons,
  ];
}
