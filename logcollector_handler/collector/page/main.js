// The page: its filters, what is loaded when they change, what arrives meanwhile, and the keyboard.

import { Unauthorized, follow, get, useToken } from "./api.js";
import { $, count } from "./dom.js";
import { emptyState } from "./empty.js";
import { Filters } from "./filters.js";
import { Histogram } from "./histogram.js";
import { List } from "./list.js";
import { RequestView } from "./request.js";

const PAGE = 200;
const BUCKETS = 90;
// Lines in the page: what is further down is loaded again when it is wanted.
const MOST = 2000;
// Milliseconds between two looks at the histogram while logs arrive.
const HISTOGRAM_PACE = 3000;

let paused = false;
let connected = false;
let waiting = []; // Arrived, and not shown yet: the newest last.
let waitingCount = 0;
let next = null; // The cursor of the page below.
let loading = null; // The request for the list, if one is under way.
let older = null; // The request for the page below, if one is.
let endStream = () => {};
let isGap = false; // Something is missing between what is shown and what waits.
let stale = false; // The histogram is behind.

const filters = new Filters(restart);
const setFilter = (name, value) => filters.set(name, value);
const list = new List($("#rows"), { request: (name, id) => request.show(name, id), filter: setFilter, opened: flow });
const request = new RequestView({ filter: setFilter, failed });
const histogram = new Histogram((since, until) => filters.narrow(since, until));

// -- Loading and following

// The stream first, then what is there already: so nothing that arrives in between is missed.
function restart() {
  endStream();
  waiting = [];
  waitingCount = 0;
  isGap = false;
  if (filters.isNarrow) {
    // What is over does not change: there is nothing to follow.
    endStream = () => {};
    load();
    return;
  }
  let isFirst = true;
  endStream = follow({ ...filters.asked, at_most: PAGE }, {
    entries: arrived,
    // So much has come at once that it was not sent. What is shown above it would leave a gap: the list begins anew.
    skipped: (number) => {
      waitingCount += number;
      waiting = [];
      isGap = true;
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
  dropOlder();
  const signal = (loading = new AbortController()).signal;
  document.body.classList.add("loading");
  try {
    const [page] = await Promise.all([get("logs", { ...filters.asked, ...filters.bounds, limit: PAGE }, signal), showHistogram(signal), showValues(signal)]);
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
  histogram.show(await get("logs/histogram", { ...filters.asked, ...filters.histogramBounds(BUCKETS), buckets: BUCKETS }, signal), BUCKETS);
}

async function showValues(signal) {
  filters.offer(await get("logs/values", {}, signal));
}

async function loadOlder() {
  if (next === null || older || document.body.classList.contains("loading") || list.element.childElementCount >= MOST) return;
  const { signal } = (older = new AbortController());
  try {
    const page = await get("logs", { ...filters.asked, ...filters.bounds, limit: PAGE, cursor: next }, signal);
    next = page.next;
    list.element.append(...page.logs.map((entry) => list.item(entry)));
  } catch (error) {
    if (!signal.aborted) failed(error);
  } finally {
    if (!signal.aborted) older = null;
  }
}

// Older lines that are on their way would stand below others than those that they were asked for.
function dropOlder() {
  older?.abort();
  older = null;
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
    const since = filters.bounds.since ?? -Infinity;
    if (isGap) {
      dropOlder();
      list.element.replaceChildren();
      next = null;
    }
    const shown = new Set([...list.element.children].slice(0, MOST).map((item) => item.entry.id));
    for (const entry of waiting) if (!shown.has(entry.id) && entry.created_at >= since) insert(entry);
    cut(isGap ? 0 : PAGE * 2);
    waiting = [];
    waitingCount = 0;
    isGap = false;
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

// Keeps so many lines that fill a few pages; the next page begins behind the last one.
function cut(keep) {
  const lines = list.element.children;
  if (!lines.length || lines.length <= keep) return;
  dropOlder();
  while (lines.length > Math.max(keep, PAGE)) list.element.lastElementChild.remove();
  const { created_at: time, id } = list.element.lastElementChild.entry;
  next = `${time}_${id}`;
}

function toNewest() {
  list.close();
  setPaused(false);
  window.scrollTo(0, 0);
  // More than is kept has come: it is loaded afresh.
  if (isGap || waitingCount > waiting.length || filters.isNarrow) restart();
  else flow();
}

function setPaused(value) {
  paused = value;
  flow();
}

// -- What is said

function showState() {
  const state = filters.isNarrow ? "past" : !connected ? "offline" : paused ? "paused" : isReading() ? "reading" : "live";
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
  const widen = () => {
    filters.narrow("", "", false);
    filters.set("range", "all");
  };
  box.replaceChildren(...emptyState(total, filters.isFiltered && (() => filters.clear()), !filters.isAllTime && widen));
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

$("#pause").addEventListener("click", () => (paused || isReading() || filters.isNarrow ? leaveAndFollow() : setPaused(true)));
$("#theme").addEventListener("click", switchTheme);
$("#news").addEventListener("click", toNewest);
// The end may come into view, be pushed out by older lines and come back between two looks of the observer, which then
// has seen no change: so every scroll looks as well.
const REACH = 600;
const isEndNear = () => $("#end").getBoundingClientRect().top < innerHeight + REACH;
window.addEventListener("scroll", () => (flow(), isEndNear() && loadOlder()), { passive: true });
new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && loadOlder(), { rootMargin: `${REACH}px` }).observe($("#end"));

function leaveAndFollow() {
  if (filters.isNarrow) filters.narrow("", "");
  toNewest();
}

const KEYS = {
  j: () => active().move(1),
  k: () => active().move(-1),
  ArrowDown: () => active().move(1),
  ArrowUp: () => active().move(-1),
  Enter: () => active().toggle(),
  o: () => active().toggle(),
  "/": () => $("[name=text]").focus(),
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

new ResizeObserver(([header]) => {
  document.documentElement.style.setProperty("--header", `${header.target.offsetHeight}px`);
}).observe($("header"));
if (localStorage.getItem("theme")) setTheme(localStorage.getItem("theme"));
setInterval(() => {
  if (stale && !paused && !document.hidden) showHistogram().catch(() => (stale = true));
}, HISTOGRAM_PACE);
filters.read();
