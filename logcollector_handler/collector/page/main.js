// The page: connects its parts. What it shows follows from the state, which each part changes and none keeps a copy of.

import { Refused, Unauthorized, get } from "./api.js";
import { Around } from "./around.js";
import { Columns } from "./columns.js";
import { $ } from "./dom.js";
import { emptyState } from "./empty.js";
import { Export } from "./export.js";
import { Feed } from "./feed.js";
import { fieldsIn } from "./fields.js";
import { Groups } from "./groups.js";
import { Help } from "./help.js";
import { Histogram } from "./histogram.js";
import { listenToKeys } from "./keyboard.js";
import { List } from "./list.js";
import { Login } from "./login.js";
import { FIELDS, IDS } from "./model.js";
import { Period } from "./period.js";
import { Progress } from "./progress.js";
import { RequestView } from "./request.js";
import { Search } from "./search.js";
import { NO_REQUEST, State } from "./state.js";
import { switchTheme } from "./theme.js";
import { isoUtc } from "./times.js";
import { ValueMenu } from "./valuemenu.js";

// Milliseconds between two updates of the histogram while entries arrive.
const HISTOGRAM_PACE = 3000;

const state = new State(changed);
const search = new Search(state);
const period = new Period(state);
const progress = new Progress(stop);
const menu = new ValueMenu(state);
const help = new Help((q) => state.set({ q, entry: "", open: "" }));
const login = new Login(restart);
const on = {
  value: (clicked, field, value) => menu.open(clicked, field, value),
  request: (name, id) => state.set({ ...NO_REQUEST, [name]: id }),
  failed,
};
const aroundOf = (id) => state.set({ entry: String(id), open: "", ...NO_REQUEST });
const list = new List($("#rows"), { ...on, around: aroundOf, opened: () => state.set({ open: list.open.map((item) => item.entry.id).join(",") }) });
const around = new Around(state, on);
const request = new RequestView(state, { ...on, around: aroundOf });
const columns = new Columns(state, () => list.entries);
const report = (name) => (looked, bounds) => progress.report(name, looked, bounds);
const groups = new Groups(state, { failed, report: report("groups") }, () => [...new Set([...FIELDS, ...fieldsIn(list.entries, 100)])]);
const histogram = new Histogram((since, until) => state.set({ since: isoUtc(Math.floor(since * 1000) / 1000), until: isoUtc(Math.ceil(until * 1000) / 1000), entry: "", open: "" }));
new Export(state, failed);
const feed = new Feed(state, list, { loaded, changed: showState, arrived: () => (stale = true), failed, trouble, report: report("list") });

let counting = null; // The AbortController of the request for the histogram.
let stale = false; // Whether entries have arrived since the histogram was loaded.
let isQuick = false; // Whether the last histogram came at once: then it is updated while entries arrive.
let isStarted = false; // Whether the address with which the page was opened has been taken over.
let isLink = true; // Whether the page still shows what that address says.

// -- From the state to what is shown

function changed(before) {
  isLink = !isStarted;
  const is = (...names) => !isStarted || names.some((name) => before[name] !== state.get(name));
  search.show();
  period.show();
  groups.show();
  columns.show();
  for (const each of [list, around.list, request.list]) each.show(state.columns);
  if (is("q", "min_level", "service", "since", "until", "group", "entry")) restart();
  else if (is("open")) {
    list.sync(state.open);
    feed.flow();
  }
  if (is(...IDS)) request.show();
  isStarted = true;
}

function restart() {
  progress.clear();
  trouble(null);
  search.refuse(null);
  for (const part of [feed, groups, around]) part.end();
  const view = state.get("entry") ? "around" : state.get("group") ? "groups" : "list";
  document.body.dataset.view = view;
  $("#list").hidden = view !== "list";
  $("#empty").hidden = true;
  $("#histogram").hidden = view === "around";
  $("#news").hidden = true;
  ({ list: feed, groups, around })[view].begin();
  showValues().catch(failed);
  if (view === "around") counting?.abort();
  else showHistogram();
  showState();
}

async function showHistogram() {
  counting?.abort();
  const { signal } = (counting = new AbortController());
  stale = false;
  isQuick = false;
  try {
    const answers = await histogram.load(state.asked, state.bounds, signal, (looked, bounds) => signal.aborted || progress.report("histogram", looked, bounds));
    isQuick = answers === 1;
  } catch (error) {
    if (signal.aborted) return;
    // What the list cannot be asked for either, it says itself; so does an update that comes too late.
    if (error instanceof Unauthorized) failed(error);
  }
}

function stop() {
  counting?.abort();
  feed.stop();
  groups.stop();
  progress.clear();
}

async function showValues() {
  search.offer((await get("logs/values")).service);
}

function loaded() {
  const ids = state.open;
  // A link to an entry that is not in the list, for example because newer ones came, shows it by itself.
  if (list.sync(ids) === 0 && ids.length === 1 && isLink) state.set({ entry: ids[0], open: "" }, true);
  else showEmpty().catch(failed);
}

async function showEmpty() {
  if (list.element.childElementCount > 0) return;
  const asked = state.asked;
  const { total_logs: total } = await get("stats");
  const { logs } = total && !state.isAllTime ? await get("logs", { ...asked, limit: 1 }) : { logs: [] };
  if (list.element.childElementCount > 0) return;
  const elsewhere = logs.length ? { time: logs[0].created_at, show: () => state.set({ since: "all", until: "" }) } : null;
  const clear = state.isFiltered && (() => state.set({ q: "", min_level: "", service: "" }));
  $("#empty").replaceChildren(...emptyState(total, clear, elsewhere));
  $("#empty").hidden = false;
}

function showState() {
  if (list.element.childElementCount > 0) $("#empty").hidden = true;
  const isStill = document.body.dataset.view !== "list" || state.isPast;
  const now = isStill ? "past" : search.isRefused ? "stopped" : !feed.connected ? "offline" : feed.paused ? "paused" : feed.isReading ? "reading" : "live";
  document.body.dataset.state = now;
  const text = isStill ? "follow" : now;
  if ($("#state").textContent !== text) $("#state").textContent = text;
  $("#pause").setAttribute("aria-pressed", String(feed.paused));
}

// -- What went wrong

function trouble(text) {
  const box = $("#trouble");
  if (box.textContent !== (text ?? "")) box.textContent = text ?? "";
  box.hidden = text === null;
}

function failed(error, more = "") {
  if (error instanceof Unauthorized) login.ask();
  else if (error instanceof Refused && error.position !== undefined) {
    search.refuse(error);
    showState();
  } else trouble(reason(error) + more);
}

// What the collector said; or, if the browser got no answer, or ended one that had become silent, that.
function reason(error) {
  const isSilent = error instanceof TypeError || error instanceof DOMException;
  return isSilent ? `The collector at ${location.origin} does not answer.` : error.message;
}

// -- Buttons and keys

function toNewest() {
  if (document.body.dataset.view !== "list" || state.isPast) state.set({ entry: "", group: "", open: "", ...(state.isPast ? { since: "-1h", until: "" } : {}) });
  feed.toNewest();
}

// From groups or a single entry back to the list; in the list, to its top.
function leave() {
  if (document.body.dataset.view === "list") feed.toNewest();
  else state.set({ entry: "", group: "" });
}

$("#pause").addEventListener("click", () => (feed.paused || document.body.dataset.state !== "live" ? toNewest() : feed.setPaused(true)));
$("#theme").addEventListener("click", switchTheme);
$("#news").addEventListener("click", toNewest);

const active = () => (request.dialog.open ? request.list : state.get("entry") ? around.list : list);

listenToKeys({
  j: () => active().move(1),
  k: () => active().move(-1),
  ArrowDown: () => active().move(1),
  ArrowUp: () => active().move(-1),
  Enter: () => active().toggle(),
  o: () => active().toggle(),
  "/": () => $("[name=q]").focus(),
  "?": () => help.open(),
  p: () => feed.setPaused(!feed.paused),
  g: toNewest,
  t: switchTheme,
  Escape: () => active().close() || leave(),
});

new ResizeObserver(([header]) => {
  document.documentElement.style.setProperty("--header", `${header.target.offsetHeight}px`);
}).observe($("header"));
setInterval(() => {
  if (stale && isQuick && !feed.paused && !document.hidden && document.body.dataset.view === "list") showHistogram();
}, HISTOGRAM_PACE);
state.follow();
