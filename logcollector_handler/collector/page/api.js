// Requests to the collector: single queries, and the stream of arriving entries.

export class Unauthorized extends Error {}

let token = sessionStorage.getItem("token") ?? "";

export function useToken(value) {
  token = value;
  sessionStorage.setItem("token", value);
}

function request(path, parameters, more = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== "" && value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  const headers = { ...more.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(url, { ...more, headers, cache: "no-store" });
}

async function check(response) {
  if (response.ok) return response;
  if (response.status === 401) throw new Unauthorized();
  let reason = `The collector answered ${response.status}.`;
  try {
    reason = (await response.json()).error;
  } catch {
    // The answer is not JSON: show its status instead.
  }
  throw new Error(reason);
}

export async function get(path, parameters = {}, signal = undefined) {
  return (await check(await request(path, parameters, { signal }))).json();
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
// Milliseconds without data after which the connection counts as dead. The collector sends a heartbeat every 10 s.
const SILENCE = 25_000;

// Follows the stream, and reconnects where it broke off. Calls `on.entries(list)`, `on.skipped(count)`, `on.open()`,
// `on.lost(error)` before it reconnects, and `on.refused(error)` as the last call, if the token is wrong. Returns a
// function that ends it.
export function follow(parameters, on) {
  let position = null;
  let ended = false;
  let connection = null;

  async function once() {
    connection = new AbortController();
    const headers = position === null ? {} : { "Last-Event-ID": position };
    let timer = setTimeout(() => connection.abort(), SILENCE);
    try {
      const response = await check(await request("logs/stream", parameters, { headers, signal: connection.signal }));
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      while (!ended) {
        const { done, value } = await reader.read();
        if (done) throw new TypeError("The stream has ended.");
        clearTimeout(timer);
        timer = setTimeout(() => connection.abort(), SILENCE);
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        const entries = [];
        for (const text of events) take(text, entries);
        if (entries.length && !ended) on.entries(entries);
      }
    } finally {
      clearTimeout(timer);
      connection.abort();
    }
  }

  function take(text, entries) {
    const fields = {};
    for (const line of text.split("\n")) {
      const at = line.indexOf(": ");
      if (at > 0) fields[line.slice(0, at)] = line.slice(at + 2);
    }
    if (fields.id !== undefined) position = fields.id;
    if (ended || fields.data === undefined) return;
    if (fields.event === undefined) entries.push(JSON.parse(fields.data));
    else if (fields.event === "skipped") on.skipped(JSON.parse(fields.data).count);
    else if (fields.event === "open") on.open();
    else if (fields.event === "error") throw new Error(JSON.parse(fields.data).error);
  }

  (async () => {
    let pause = 500;
    while (!ended) {
      const began = Date.now();
      try {
        await once();
      } catch (error) {
        if (ended) return;
        if (error instanceof Unauthorized) {
          on.refused(error);
          return;
        }
        on.lost(error);
      }
      pause = Date.now() - began > 10_000 ? 500 : Math.min(pause * 1.5, 5000);
      await wait(pause);
    }
  })();

  return () => {
    ended = true;
    connection?.abort();
  };
}
