import type { Writable } from "node:stream";

import type { LogClientOptions } from "./index.js";

/** A stream for pino. `messageKey` and `errorKey` say where pino puts what it logs, if that is not `msg` and `err`. */
export default function collector(
  options?: LogClientOptions & { serverUrl?: string; messageKey?: string; errorKey?: string },
): Writable;
