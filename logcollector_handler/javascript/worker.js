/** The worker of a page: it has nothing of its own. */
import { startSending } from "./sending.js";

startSending(/** @type {import("./sending.js").Port} */ (/** @type {unknown} */ (globalThis)));
