// Requests to the collector: single queries, those that are answered in parts, and the stream of arriving entries.

export class Unauthorized extends Error {}

// The collector refuses a request. `position` is that of what is wrong in the query, if that is the reason.
export class Refused extends Error {
  constructor(status, { error, position }) {
    super(error);
    this.status = status;
    this.position = position;
  }
}

let token = sessionStorage.getItem("token") ?? "";

export const hasToken = () => token !== "";

export function useToken(value) {
  token = value;
  sessionStorage.setItem("token", value);
}

export function address(path, parameters) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== "" && value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

export async function request(path, parameters, more = {}) {
  const headers = { ...more.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  return check(await fetch(address(path, parameters), { ...more, headers, cache: "no-store" }));
}

async function check(response) {
  if (response.ok) return response;
  if (response.status === 401) throw new Unauthorized();
  let answer = { error: `The collector answered ${response.status}.` };
  try {
    answer = await response.json();
  } catch {
    // The answer is not JSON: show its status instead.
  }
  throw new Refused(response.status, answer);
}

// JavaScript rounds whole numbers of 16 digits and more: where there may be one, it becomes a BigInt, in browsers that
// tell how it was written.
function parsed(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_, value, { source } = {}) =>
    typeof value === "number" && source && !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? BigInt(source) : value,
  );
}

export async function get(path, parameters = {}, signal = undefined) {
  return parsed(await (await request(path, parameters, { signal })).text());
}

// The answers to a query whose search may take several requests, as they come. `parameters` are read for each anew.
export async function* parts(path, parameters, signal) {
  let cursor = null;
  do {
    const answer = await get(path, { ...parameters, cursor }, signal);
    yield answer;
    cursor = answer.looked_to === null ? null : answer.next;
  } while (cursor !== null);
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
// Milliseconds without data after which the connection counts as dead. The collector sends a heartbeat every 10 s.
const SILENCE = 25_000;

// Follows the stream, and reconnects where it broke off. Calls `on.entries(list)`, `on.skipped(count)`, `on.open()`,
// `on.lost(error)` before it reconnects, and `on.refused(error)` as the last call, if the token or the query is wrong.
// Returns a function that ends it.
export function follow(parameters, on) {
  let position = null;
  let ended = false;
  let connection = null;

  async function once() {
    connection = new AbortController();
    const headers = position === null ? {} : { "Last-Event-ID": position };
    let timer = setTimeout(() => connection.abort(), SILENCE);
    try {
      const response = await request("logs/stream", parameters, { headers, signal: connection.signal });
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
    if (fields.event === undefined) entries.push(parsed(fields.data));
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
        if (error instanceof Unauthorized || (error instanceof Refused && error.status === 400)) {
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
