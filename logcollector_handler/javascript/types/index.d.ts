/**
 * What TypeScript is told of the client, in Node and in browsers. A test compares it with the JSDoc of the code.
 */

/** Fields of a call: one named like a column of the server fills that, all others go into `metadata`. */
export type Fields = Record<string, unknown>;
export type Level = "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR" | "FATAL";

/** Options of a client. Times are in milliseconds. */
export interface LogClientOptions {
  /** Which part of a system logs. */
  service?: string;
  /** `production`, `staging`, `development`, `test` or `local`. Default: `development`. */
  environment?: string;
  /** Default: `v0.0.0-dev`. */
  serviceVersion?: string;
  /** `BACKEND`, `FRONTEND`, `MOBILE`, `IOT` or `WORKER`. Default: `BACKEND`, in browsers `FRONTEND`. */
  logType?: string;
  /** Records of a batch at most. Default: 1000. */
  batchSize?: number;
  /** How long a record waits at most before its batch is closed. Default: 1000. */
  flushInterval?: number;
  /** Records between the caller and the worker. Default: 10000. */
  maxQueueSize?: number;
  /** gzip, from 100 records on. Default: true. */
  enableCompression?: boolean;
  /** Sent as `Authorization: Bearer …`. */
  apiKey?: string;
  /** Sent with every batch. */
  headers?: Record<string, string>;
  /** Node: the directory in which each batch is kept until it is settled. */
  spoolDir?: string;
  /** Log errors that nobody caught. Default: true. */
  enableGlobalErrorHandler?: boolean;
  /** Entries say which function logged. Default: true. */
  autoCaller?: boolean;
  /** Names of fields that are masked, at any depth, instead of the usual ones; matched by their words. */
  redact?: string[];
  /** What these match is masked in all texts, the message too; `common` is a ready set. Default: none. */
  redactPatterns?: "common" | ("common" | RegExp)[];
  /** Of one request. Default: 5000. */
  timeout?: number;
  /** The longest that the end of the process may take. Default: 5000. */
  shutdownTimeout?: number;
}

/** accepted = delivered + dropped + deadLettered + pending */
export interface Stats {
  accepted: number;
  delivered: number;
  /** By reason. */
  dropped: Record<string, number>;
  deadLettered: number;
  pending: number;
}

/** No method throws because of a value that is logged. */
export interface LogClient {
  log(level: Level | Lowercase<Level> | (string & {}), message: unknown, fields?: Fields): void;
  trace(message: unknown, fields?: Fields): void;
  debug(message: unknown, fields?: Fields): void;
  info(message: unknown, fields?: Fields): void;
  warn(message: unknown, fields?: Fields): void;
  error(message: unknown, fields?: Fields): void;
  fatal(message: unknown, fields?: Fields): void;
  /** Log at ERROR with the stack trace of an error and of its causes. */
  errorWithTrace(message: unknown, error: unknown, fields?: Fields): void;
  /** What `endTimer` takes. */
  startTimer(): number;
  /** Log the time since `startTimer`; returns it in milliseconds. It is NaN if `start` is no number. */
  endTimer(start: number, level?: string, message?: unknown, fields?: Fields): number;
  /** Log how long a function takes, also one that returns a promise. What it throws is logged at ERROR and goes on. */
  measure<T>(run: () => T, message?: string, level?: string): T;
  /** A client whose entries have these fields, too. It sends through the same pipeline. */
  child(fields: Fields): LogClient;
  /** Call a function; what is logged in it has these fields, in Node also what it awaits. */
  runWithContext<T>(fields: Fields, run: () => T): T;
  /** What is logged from here on has these fields; in Node, here and in what is started from here. */
  setContext(fields: Fields): void;
  clearContext(): void;
  /**
   * Send everything that was logged. True when it is delivered, or given up as refused; false when something was dropped,
   * or after that many milliseconds (`shutdownTimeout`).
   */
  flush(milliseconds?: number): Promise<boolean>;
  /** Send everything that was logged, and end. Logging opens the client again. */
  close(milliseconds?: number): Promise<boolean>;
  stats(): Stats;
}

/**
 * A client that sends to a log collection server. In Node, what is not given is read from the environment; in browsers the
 * URL has to be given. Throws a TypeError for a wrong option.
 */
export function createLogClient(serverUrl?: string | URL, options?: LogClientOptions): LogClient;
