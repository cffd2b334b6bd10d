/**
 * What delivery is given by a platform, as types only. `node/worker.js` and the browser's worker make one each; tests
 * make one in which no time passes.
 *
 * @typedef {import("./batch.js").Batch} Batch
 * @typedef {import("./answers.js").Answer} Answer
 *
 * @typedef {object} Options times in milliseconds
 * @property {string} server its URL, for people
 * @property {number} batchSize
 * @property {number} flushInterval
 * @property {boolean} enableCompression
 * @property {number} timeout of one request
 * @property {number} maxRetries
 *
 * @typedef {object} Platform
 * @property {(batch: Batch, milliseconds: number) => Promise<Answer>} post never rejects
 * @property {(text: string) => Uint8Array | Promise<Uint8Array>} pack gzip
 * @property {(bytes: Uint8Array) => string | Promise<string>} unpack
 * @property {(run: () => void, milliseconds: number) => () => void} timer calls once; what it returns stops it
 * @property {() => number} now monotonic
 * @property {() => number} time since 1970
 * @property {() => number} random from 0 to 1
 * @property {(text: string) => void} say tells people
 * @property {(losses: Record<string, number>, seconds: number) => string} loss the entry that tells of lost records
 * @property {Store} [store] outlives the process; what it throws is said
 * @property {(counts: Counts) => void} [changed] called when the counts have changed
 *
 * @typedef {object} Store
 * @property {(batch: Batch) => void | Promise<void>} put its bytes are there
 * @property {(batch: Batch) => void | Promise<void>} remove
 * @property {(batch: Batch) => void | Promise<void>} [bury] keep a dead letter
 * @property {(batch: Batch) => void | Promise<void>} [noteLost] the server may have stored it
 *
 * @typedef {object} Counts
 * @property {number} delivered
 * @property {number} deadLettered
 * @property {Record<string, number>} dropped by reason
 */

export {};
