import { Writable } from "node:stream";

import type { LogClientOptions } from "./index.js";

/** A transport for winston, with the options that every transport of winston has. */
export class CollectorTransport extends Writable {
  constructor(
    options?: LogClientOptions & {
      serverUrl?: string;
      /** Entries below it are discarded. Default: the level of the logger. */
      level?: string;
      format?: { transform: Function; options?: unknown };
      silent?: boolean;
      handleExceptions?: boolean;
      handleRejections?: boolean;
    },
  );
}
