// The page: loads the entries that match the filters, adds those that arrive, and connects all parts.

import { Unauthorized, follow, get } from "./api.js";
import { $, count } from "./dom.js";
import { emptyState } from "./empty.js";
import { Filters } from "./filters.js";
import { Histogram } from "./histogram.js";
import { listenToKeys } from "./keyboard.js";
import { List } from "./list.js";
import { Login } from "./login.js";
import { RequestView } from "./request.js";
import { switchTheme } from "./theme.js";

const PAGE = 200;
const BUCKETS = 90;
// Maximum of lines in the list. Scrolling beyond loads nothing more; lines cut off by new ones are loaded again.
const MOST = 2000;
// Milliseconds between two updates of the histogram while entries arrive.
const HISTOGRAM_PACE = 3000;

let paused = false;
let connected = false;
let waiting = []; // Entries that have arrived and are not shown yet, the newest last; at most MOST.
let waitingCount = 0; // How many have arrived and are not shown, including those that were not kept.
let next = null; // The cursor of the page of older entries; null if there are none.
let loading = null; // The AbortController of the last request for the list.
let older = null; // The AbortController of the request for older entries; null if there is none.
let endStream = () => {};
let isGap = false; // Whether entries are missing between those shown and those waiting.
let stale = false; // Whether entries have arrived since the histogram was loaded.

const filters = new Filters(restart);
const setFilter = (name, value) => filters.set(name, value);
const list = new List($("#rows"), { request: (name, id) => request.show(name, id), filter: setFilter, opened: flow });
const request = new RequestView({ filter: setFilter, failed });
const histogram = new Histogram((since, until) => filters.narrow(since, until));
const login = new Login(restart);

// -- Loading and following

// Opens the stream, and loads the stored entries once it is open, so that none that arrives in between is missed.
function restart() {
  endStream();
  waiting = [];
  waitingCount = 0;
  isGap = false;
  if (filters.isNarrow) {
    // A time interval in the past gets no new entries: there is nothing to follow.
    endStream = () => {};
    load();
    return;
  }
  let isFirst = true;
  endStream = follow({ ...filters.asked, at_most: PAGE }, {
    entries: arrived,
    // So many entries arrived at once that the collector left some out. Those after them do not join the list without a
    // gap, so the list will start again with them.
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
    lost: (error) => {
      connected = false;
      trouble(`${reason(error)} This page will reconnect by itself.`);
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

// Cancels a request for older entries, because the end of the list that they belong to changes.
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

// While somebody reads, with an entry open or scrolled down, new entries wait, so that the lines do not move.
const isReading = () => list.open !== null || window.scrollY > 40;

let frame = 0;
function flow() {
  // A tab in the background gets no animation frames.
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

// Inserts an entry at its place by time, because entries may arrive late. One that is older than all lines is left out
// if there are older pages: it will be on one of those.
function insert(entry) {
  let before = list.element.firstElementChild;
  while (before && before.entry.created_at > entry.created_at) before = before.nextElementSibling;
  if (before || next === null) list.element.insertBefore(list.item(entry), before);
}

// Shortens the list to `keep` lines, at least a page; the older ones are loaded again when somebody scrolls down.
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
  // Some of the new entries were not sent or not kept, or the list shows the past: load it again.
  if (isGap || waitingCount > waiting.length || filters.isNarrow) restart();
  else flow();
}

function setPaused(value) {
  paused = value;
  flow();
}

// -- State and messages

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
  if (error instanceof Unauthorized) login.ask();
  else trouble(reason(error));
}

// What the collector said; or, if the browser got no answer, or ended one that had become silent, that.
function reason(error) {
  const isSilent = error instanceof TypeError || error instanceof DOMException;
  return isSilent ? `The collector at ${location.origin} does not answer.` : error.message;
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

// -- Buttons, scrolling and keys

$("#pause").addEventListener("click", () => (paused || isReading() || filters.isNarrow ? leaveAndFollow() : setPaused(true)));
$("#theme").addEventListener("click", switchTheme);
$("#news").addEventListener("click", toNewest);
// Older entries are loaded when the end of the list comes near. Between two checks of the observer the end may be
// pushed away by older lines and come back, which the observer does not report: so every scroll checks, too.
const REACH = 600;
const isEndNear = () => $("#end").getBoundingClientRect().top < innerHeight + REACH;
window.addEventListener("scroll", () => (flow(), isEndNear() && loadOlder()), { passive: true });
new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && loadOlder(), { rootMargin: `${REACH}px` }).observe($("#end"));

function leaveAndFollow() {
  if (filters.isNarrow) filters.narrow("", "");
  toNewest();
}

const active = () => (request.dialog.open ? request.list : list);

listenToKeys({
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
});

new ResizeObserver(([header]) => {
  document.documentElement.style.setProperty("--header", `${header.target.offsetHeight}px`);
}).observe($("header"));
setInterval(() => {
  if (stale && !paused && !document.hidden) showHistogram().catch(() => (stale = true));
}, HISTOGRAM_PACE);
filters.read();
