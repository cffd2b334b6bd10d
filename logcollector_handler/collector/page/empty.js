// The text shown instead of an empty list: why there are no entries, and what to do about it.

import { button, count, el } from "./dom.js";
import { moment } from "./times.js";

const python = (url) => `import logging
from logcollector_handler import LogCollectorHandler

handler = LogCollectorHandler(server_url="${url}", service="hello")
logging.basicConfig(level="INFO", handlers=[handler])
logging.getLogger("hello").info("it works", extra={"user_id": 42})
`;

const curl = (url) => `curl ${url}/logs -H 'Content-Type: application/json' \\
  -d '{"logs": [{"message": "it works", "level": "INFO", "service": "hello"}]}'
`;

// `clear` removes the filters, false if there are none; `elsewhere` has the time of the newest entry that matches outside
// of the bounds in time, and `show`, which goes there; null if there is none.
export function emptyState(total, clear, elsewhere) {
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
  if (elsewhere) buttons.append(button("button", "Look at all time", elsewhere.show, { id: "widen" }), " ");
  if (clear) buttons.append(button("button", "Remove the filters", clear, { id: "clear" }));
  const matching = clear ? "that match" : "";
  return [
    el("h2", {}, "Nothing here"),
    el("p", {}, elsewhere ? `There are entries ${matching} outside of this time: the newest is of ${moment(elsewhere.time)}.` : `None of the ${count(total)} stored entries matches.`),
    buttons,
  ];
}
