/**
 * The network: posts a batch, and says how that ended. The only file that knows `node:http`.
 */
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

/** How much of an answer is read. */
const MOST_READ = 64 * 1024;
/** How a connection ends that the server closed while it was idle. */
const CLOSED = ["ECONNRESET", "EPIPE", "ECONNABORTED"];

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

/** @typedef {import("../answers.js").Answer} Answer */

/**
 * @param {import("../settings.js").Settings} settings
 * @returns {import("../platform.js").Platform["post"]}
 */
export function poster({ url, headers: given }) {
  const { request, Agent } = url.startsWith("https:") ? https : http;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });

  /** @param {import("../batch.js").Batch} batch @param {number} milliseconds @returns {Promise<Answer & {wasIdle?: boolean}>} */
  const once = ({ id, bytes = new Uint8Array(), compressed }, milliseconds) =>
    new Promise((resolve) => {
      let isConnected = false;
      let isSent = false;
      let isOver = false;
      /** @param {Answer & {wasIdle?: boolean}} answer */
      const end = (answer) => {
        clearTimeout(timer);
        resolve({ arrived: isSent, ...answer });
      };
      const headers = {
        "Content-Type": "application/json",
        "Content-Length": bytes.length,
        "User-Agent": `logcollector-handler-js/${version}`,
        ...(compressed && { "Content-Encoding": "gzip" }),
        ...given,
        "Idempotency-Key": id,
      };
      const sending = request(url, { method: "POST", agent, headers });
      const timer = setTimeout(() => {
        isOver = true;
        sending.destroy();
        end({ detail: `no answer in ${milliseconds / 1000} s`, unfinished: isConnected && !isSent });
      }, milliseconds);
      sending.on("socket", (socket) => {
        if (!socket.connecting) isConnected = true;
        else socket.once("connect", () => (isConnected = true));
      });
      sending.on("finish", () => (isSent = true));
      sending.on("error", (/** @type {NodeJS.ErrnoException} */ error) => {
        if (isOver) return;
        const code = error.code ?? "";
        end({
          detail: `${code || error.message}`,
          unusable: /CERT|^ERR_(TLS|SSL)|^ERR_INVALID|^UNABLE_TO/.test(code),
          wasIdle: sending.reusedSocket && CLOSED.includes(code),
        });
      });
      sending.on("response", (response) => {
        /** @type {Buffer[]} */
        const parts = [];
        let size = 0;
        response.on("data", (part) => {
          size += part.length;
          if (size <= MOST_READ) parts.push(part);
        });
        response.on("error", () => {
          if (!isOver) end({ detail: "the answer broke off" });
        });
        response.on("end", () => {
          const status = response.statusCode ?? 0;
          const text = Buffer.concat(parts).toString();
          end({
            status,
            text,
            type: response.headers["content-type"],
            retryAfter: response.headers["retry-after"],
            detail: `it answered ${status}${said(text)}`,
          });
        });
      });
      sending.end(bytes);
    });

  return async (batch, milliseconds) => {
    try {
      const answer = await once(batch, milliseconds);
      if (!answer.wasIdle) return answer;
      // The server closed a kept connection while it was idle: again at once, on a new one.
      return { ...(await once(batch, milliseconds)), lostBefore: answer.arrived };
    } catch (error) {
      // A header that cannot be sent.
      return { detail: /** @type {Error} */ (error).message, unusable: true };
    }
  };
}

/** What the server says about an error, in short. @param {string} text */
function said(text) {
  try {
    const { detail } = JSON.parse(text);
    return typeof detail === "string" ? `: ${detail.slice(0, 200)}` : "";
  } catch {
    return "";
  }
}
