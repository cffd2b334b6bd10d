// The page: its filters, what is loaded when they change, what arrives meanwhile, and the keyboard.

import { Unauthorized, follow, get, useToken } from "./api.js";
import { $, clock, count, el, moment } from "./dom.js";
import { emptyState } from "./empty.js";
import { IDS } from "./entry.js";
import { Histogram } from "./histogram.js";
import { List } from "./list.js";
import { RequestView } from "./request.js";

const PAGE = 200;
const BUCKETS = 90;
// Lines in the page: what is further down is loaded again when it is wanted.
const MOST = 2000;
// Milliseconds between two looks at the histogram while logs arrive.
const HISTOGRAM_PACE = 3000;

const form = $("#filters");
const names = ["text", "min_level", "service", "environment", "logger", "range"];
// What is asked for besides the form: ids, and a stretch of time that replaces the range.
const extra = { trace_id: "", user_id: "", session_id: "", since: "", until: "" };

let paused = false;
let connected = false;
let waiting = []; // Arrived, and not shown yet: the newest last.
let waitingCount = 0;
let next = null; // The cursor of the page below.
let loading = null;
let endStream = () => {};
let stale = false; // The histogram is behind.

const list = new List($("#rows"), { request: (name, id) => request.show(name, id), filter: setFilter, opened: flow });
const request = new RequestView({ filter: setFilter, failed });
const histogram = new Histogram((since, until) => {
  Object.assign(extra, { since, until });
  changed();
});

// -- What is asked for

function filters() {
  const asked = Object.fromEntries(names.filter((name) => name !== "range").map((name) => [name, form.elements[name].value]));
  for (const name of Object.keys(IDS)) asked[name] = extra[name];
  return asked;
}

const narrowed = () => extra.since !== "";

function bounds() {
  if (narrowed()) return { since: extra.since, until: extra.until };
  const range = form.elements.range.value;
  return range === "all" ? {} : { since: Date.now() / 1000 - Number(range) };
}

// On whole multiples of a bar's width, so that bars stay what they are from one look to the next.
function histogramBounds() {
  const range = form.elements.range.value;
  if (narrowed() || range === "all") return bounds();
  const width = Number(range) / BUCKETS;
  const until = Math.ceil(Date.now() / 1000 / width) * width;
  return { since: until - width * BUCKETS, until };
}

function setFilter(name, value) {
  if (name in extra) extra[name] = value;
  else {
    const field = form.elements[name];
    if (field.tagName === "SELECT" && ![...field.options].some((option) => option.value === value)) field.append(new Option(value, value));
    field.value = value;
  }
  changed();
}

function readAddress() {
  const asked = new URLSearchParams(location.search);
  form.elements.range.value = "3600";
  for (const [name, value] of asked) {
    if (name in extra) extra[name] = value;
    else if (names.includes(name)) {
      const field = form.elements[name];
      if ((name === "service" || name === "logger") && value) field.append(new Option(value, value));
      field.value = value;
    }
  }
}

function writeAddress() {
  const asked = new URLSearchParams();
  for (const name of names) {
    const value = form.elements[name].value;
    if (value && !(name === "range" && value === "3600")) asked.set(name, value);
  }
  for (const [name, value] of Object.entries(extra)) if (value !== "") asked.set(name, value);
  history.replaceState(null, "", asked.size ? `?${asked}` : location.pathname);
}

function chips() {
  const chip = (text, clear) => el("button.chip", { type: "button", title: "Remove this filter", onclick: clear }, text, " ✕");
  const chosen = Object.keys(IDS).filter((name) => extra[name]).map((name) => chip(`${IDS[name]} ${extra[name]}`, () => setFilter(name, "")));
  if (narrowed()) {
    const text = `${moment(Number(extra.since))} – ${clock(Number(extra.until))}`;
    chosen.push(chip(text, () => {
      Object.assign(extra, { since: "", until: "" });
      changed();
    }));
  }
  $("#chips").replaceChildren(...chosen);
}

function changed() {
  writeAddress();
  chips();
  for (const field of form.querySelectorAll("select")) field.classList.toggle("set", field.name !== "range" && field.value !== "");
  restart();
}

// -- Loading and following

// The stream first, then what is there already: so nothing that arrives in between is missed.
function restart() {
  endStream();
  waiting = [];
  waitingCount = 0;
  if (narrowed()) {
    // What is over does not change: there is nothing to follow.
    endStream = () => {};
    load();
    return;
  }
  let isFirst = true;
  endStream = follow({ ...filters(), at_most: PAGE }, {
    entries: arrived,
    skipped: (number) => {
      waitingCount += number;
      stale = true;
    },
    open: () => {
      connected = true;
      trouble(null);
      if (isFirst) load();
      isFirst = false;
      showState();
    },
    lost: () => {
      connected = false;
      trouble(`The collector at ${location.origin} does not answer. This page comes back to it by itself.`);
      showState();
    },
    refused: failed,
  });
}

async function load() {
  loading?.abort();
  const signal = (loading = new AbortController()).signal;
  document.body.classList.add("loading");
  try {
    const [page] = await Promise.all([get("logs", { ...filters(), ...bounds(), limit: PAGE }, signal), showHistogram(signal), showValues(signal)]);
    next = page.next;
    list.element.replaceChildren(...page.logs.map((entry) => list.item(entry)));
    trouble(null);
    showEmpty();
    flow();
  } catch (error) {
    if (!signal.aborted) failed(error);
  } finally {
    if (!signal.aborted) document.body.classList.remove("loading");
  }
}

async function showHistogram(signal) {
  stale = false;
  histogram.show(await get("logs/histogram", { ...filters(), ...histogramBounds(), buckets: BUCKETS }, signal), BUCKETS);
}

async function showValues(signal) {
  const values = await get("logs/values", {}, signal);
  for (const name of ["service", "logger"]) {
    const field = form.elements[name];
    const chosen = field.value;
    const all = [...new Set([...values[name], ...(chosen ? [chosen] : [])])];
    // A list that somebody has open just now is left alone when nothing is new in it.
    if (all.join("\n") === [...field.options].slice(1).map((option) => option.value).join("\n")) continue;
    field.replaceChildren(field.options[0], ...all.map((value) => new Option(value, value)));
    field.value = chosen;
  }
}

async function loadOlder() {
  if (next === null || document.body.classList.contains("loading") || list.element.childElementCount >= MOST) return;
  const cursor = next;
  next = null;
  try {
    const page = await get("logs", { ...filters(), ...bounds(), limit: PAGE, cursor });
    next = page.next;
    list.element.append(...page.logs.map((entry) => list.item(entry)));
  } catch (error) {
    next = cursor;
    failed(error);
  }
}

function arrived(entries) {
  stale = true;
  waiting.push(...entries);
  waitingCount += entries.length;
  if (waiting.length > MOST) waiting.splice(0, waiting.length - MOST);
  flow();
}

// Somebody who reads is not to have the lines move away.
const isReading = () => list.open !== null || window.scrollY > 40;

let frame = 0;
function flow() {
  // A tab in the background gets no frames, and has time.
  if (!frame) frame = document.hidden ? setTimeout(pour, 500) : requestAnimationFrame(pour);
}

function pour() {
  frame = 0;
  if (!paused && !isReading() && waiting.length && !document.body.classList.contains("loading")) {
    const since = bounds().since ?? -Infinity;
    const shown = new Set([...list.element.children].slice(0, MOST).map((item) => item.entry.id));
    for (const entry of waiting) if (!shown.has(entry.id) && entry.created_at >= since) insert(entry);
    waiting = [];
    waitingCount = 0;
    cut();
    showEmpty();
  }
  const news = $("#news");
  news.hidden = !waitingCount;
  news.textContent = `${count(waitingCount)} new`;
  showState();
}

// In its place by time: what was late on its way stands where it belongs.
function insert(entry) {
  let before = list.element.firstElementChild;
  while (before && before.entry.created_at > entry.created_at) before = before.nextElementSibling;
  if (before || next === null) list.element.insertBefore(list.item(entry), before);
}

function cut() {
  // Only a few pages while it flows; below, the next page begins behind the last line.
  const keep = PAGE * 2;
  const lines = list.element.children;
  if (lines.length <= keep) return;
  while (lines.length > keep) list.element.lastElementChild.remove();
  const { created_at: time, id } = list.element.lastElementChild.entry;
  next = `${time}_${id}`;
}

function toNewest() {
  list.close();
  setPaused(false);
  window.scrollTo(0, 0);
  // More than is kept has come: it is loaded afresh.
  if (waitingCount > waiting.length || narrowed()) restart();
  else flow();
}

function setPaused(value) {
  paused = value;
  flow();
}

// -- What is said

function showState() {
  const state = narrowed() ? "past" : !connected ? "offline" : paused ? "paused" : isReading() ? "reading" : "live";
  document.body.dataset.state = state;
  $("#state").textContent = state;
  $("#pause").setAttribute("aria-pressed", String(paused));
}

function trouble(text) {
  const box = $("#trouble");
  if (box.textContent !== (text ?? "")) box.textContent = text ?? "";
  box.hidden = text === null;
}

function failed(error) {
  if (error instanceof Unauthorized) askToken();
  else trouble(error instanceof TypeError ? `The collector at ${location.origin} does not answer.` : error.message);
}

async function showEmpty() {
  const box = $("#empty");
  box.hidden = list.element.childElementCount > 0;
  if (box.hidden) return;
  const { total_logs: total } = await get("stats");
  const isFiltered = Object.values(filters()).some((value) => value !== "");
  const widen = () => {
    Object.assign(extra, { since: "", until: "" });
    setFilter("range", "all");
  };
  const clear = () => {
    for (const name of names) if (name !== "range") form.elements[name].value = "";
    for (const name of Object.keys(IDS)) extra[name] = "";
    changed();
  };
  box.replaceChildren(...emptyState(total, isFiltered && clear, (narrowed() || form.elements.range.value !== "all") && widen));
  box.hidden = list.element.childElementCount > 0;
}

function askToken() {
  const dialog = $("#login");
  if (dialog.open) return;
  $("#login-wrong").hidden = !sessionStorage.getItem("token");
  dialog.showModal();
}

$("#login form").addEventListener("submit", () => {
  useToken($("#token").value);
  $("#token").value = "";
  restart();
  if (narrowed()) load();
});

// -- The person

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
}

function switchTheme() {
  const current = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  setTheme(current === "dark" ? "light" : "dark");
}

let typing = 0;
form.elements.text.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(changed, 250);
});
form.addEventListener("change", (event) => {
  clearTimeout(typing);
  if (event.target.name === "range") Object.assign(extra, { since: "", until: "" });
  changed();
});
form.addEventListener("submit", (event) => event.preventDefault());
$("#pause").addEventListener("click", () => (paused || isReading() || narrowed() ? leaveAndFollow() : setPaused(true)));
$("#theme").addEventListener("click", switchTheme);
$("#news").addEventListener("click", toNewest);
window.addEventListener("scroll", flow, { passive: true });
new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && loadOlder(), { rootMargin: "600px" }).observe($("#end"));

function leaveAndFollow() {
  if (narrowed()) {
    Object.assign(extra, { since: "", until: "" });
    changed();
  }
  toNewest();
}

const KEYS = {
  j: () => active().move(1),
  k: () => active().move(-1),
  ArrowDown: () => active().move(1),
  ArrowUp: () => active().move(-1),
  Enter: () => active().toggle(),
  o: () => active().toggle(),
  "/": () => form.elements.text.focus(),
  p: () => setPaused(!paused),
  g: toNewest,
  t: switchTheme,
  Escape: () => list.close() || toNewest(),
};

const active = () => (request.dialog.open ? request.list : list);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("#login").open) return;
  const field = event.target.closest("input, select, textarea");
  if (field) {
    // Out of the field; what was typed stays.
    if (event.key === "Escape") {
      event.preventDefault();
      field.blur();
    }
    return;
  }
  const isButton = event.target.closest("button");
  if (event.key === "Escape" && request.dialog.open) return;
  const act = KEYS[event.key];
  if (!act || (isButton && event.key === "Enter")) return;
  event.preventDefault();
  act();
});

if (localStorage.getItem("theme")) setTheme(localStorage.getItem("theme"));
setInterval(() => {
  if (stale && !paused && !document.hidden) showHistogram().catch(() => (stale = true));
}, HISTOGRAM_PACE);
readAddress();
changed();
