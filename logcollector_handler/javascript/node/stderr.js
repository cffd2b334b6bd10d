/** The one way out for our own trouble: never the console, which the application may ship through this package. */
import { writeSync } from "node:fs";

/** @param {string} text */
export function say(text) {
  try {
    writeSync(2, `logcollector-handler: ${text}\n`);
  } catch {
    // Nobody reads it.
  }
}
