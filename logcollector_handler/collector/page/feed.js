// The list of the newest entries that match: loads them, older ones as somebody scrolls down, and adds those that arrive.

import { follow, get } from "./api.js";
import { $, button, count, el } from "./dom.js";
import { moment } from "./times.js";

// Entries of a page.
const PAGE = 200;
// Maximum of lines in the list. Scrolling beyond loads nothing more; lines cut off by new ones are loaded again.
const MOST = 2000;
// Older entries are loaded when the end of the list comes this near, in pixels.
const REACH = 600;

export class Feed {
  // `on.loaded()` is called when the list is there, `on.changed()` when its state may have, `on.arrived()` when entries
  // have arrived, `on.failed(error)`, `on.trouble(text or null)`, and `on.report(looked, bounds)` while a search goes on.
  constructor(state, list, on) {
    this.state = state;
    this.list = list;
    this.on = on;
    this.paused = false;
    this.connected = false;
    this.waiting = []; // Entries that have arrived and are not shown yet, the newest last; at most MOST.
    this.waitingCount = 0; // How many have arrived and are not shown, including those that were not kept.
    this.isGap = false; // Whether entries are missing between those shown and those waiting.
    this.next = null; // Where older entries continue; null if there are none.
    this.reached = Infinity; // The time down to which all entries that match are in the list.
    this.bounds = {};
    this.isLoading = false; // Until the first answer to a new query.
    this.isSearching = false; // While entries are asked for.
    this.older = null; // The AbortController of the request for older entries; null if there is none.
    this.loading = null; // The same of the request for a new list.
    this.endStream = () => {};
    this.frame = 0;
    // Between two checks of the observer the end may be pushed away by older lines and come back, which the observer does
    // not report: so every scroll checks, too.
    const isEndNear = () => $("#end").getBoundingClientRect().top < innerHeight + REACH;
    window.addEventListener("scroll", () => (this.flow(), isEndNear() && this.loadOlder()), { passive: true });
    new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && this.loadOlder(), { rootMargin: `${REACH}px` }).observe($("#end"));
  }

  end() {
    this.endStream();
    this.endStream = () => {};
    this.connected = false;
    this.loading?.abort();
    this.loading = null;
    this.dropOlder();
    this.waiting = [];
    this.waitingCount = 0;
    this.isGap = false;
    this.next = null;
    this.isSearching = false;
    this.loaded();
    $("#end").replaceChildren();
  }

  // Opens the stream, and loads the stored entries once it is open, so that none that arrives in between is missed.
  begin() {
    this.end();
    // A time in the past gets no new entries: there is nothing to follow.
    if (this.state.isPast) {
      this.load();
      return;
    }
    let isFirst = true;
    this.endStream = follow({ ...this.state.asked, at_most: PAGE }, {
      entries: (entries) => this.arrived(entries),
      // So many entries arrived at once that the collector left some out. Those after them do not join the list without
      // a gap, so the list will start again with them.
      skipped: (number) => {
        this.waitingCount += number;
        this.waiting = [];
        this.isGap = true;
        this.on.arrived();
      },
      open: () => {
        this.connected = true;
        this.on.trouble(null);
        if (isFirst) this.load();
        isFirst = false;
        this.on.changed();
      },
      lost: (error) => {
        this.connected = false;
        this.on.failed(error, " This page will reconnect by itself.");
        this.on.changed();
      },
      refused: (error) => this.on.failed(error),
    });
  }

  async load() {
    this.loading?.abort();
    this.dropOlder();
    const { signal } = (this.loading = new AbortController());
    this.isLoading = true;
    document.body.classList.add("loading");
    this.bounds = this.state.bounds;
    try {
      await this.page(null, signal);
      if (!signal.aborted) this.on.loaded();
    } catch (error) {
      if (!signal.aborted) this.on.failed(error);
    } finally {
      if (!signal.aborted) this.loaded();
    }
  }

  loaded() {
    this.isLoading = false;
    document.body.classList.remove("loading");
  }

  // Loads a page of entries from `cursor` on, or the newest ones. A search that takes several requests shows what each
  // has found.
  async page(cursor, signal) {
    let wanted = PAGE;
    let isNew = cursor === null;
    this.isSearching = true;
    $("#end").replaceChildren();
    try {
      for (;;) {
        const answer = await get("logs", { ...this.state.asked, ...this.bounds, limit: wanted, cursor }, signal);
        if (isNew) this.list.element.replaceChildren();
        this.list.element.append(...answer.logs.map((entry) => this.list.item(entry)));
        if (isNew) this.loaded();
        isNew = false;
        wanted -= answer.logs.length;
        cursor = this.next = answer.next;
        this.reached = answer.looked_to ?? (cursor === null ? -Infinity : answer.logs.at(-1).created_at);
        this.list.offer();
        this.flow();
        this.on.report(answer.looked_to, this.bounds);
        if (answer.looked_to === null || wanted <= 0) return;
      }
    } finally {
      if (!signal.aborted) this.searched();
    }
  }

  searched() {
    this.isSearching = false;
    this.on.report(null);
  }

  async loadOlder() {
    if (this.next === null || this.older || this.loading === null || this.isSearching || this.isStopped || this.list.element.childElementCount >= MOST) return;
    const { signal } = (this.older = new AbortController());
    try {
      await this.page(this.next, signal);
    } catch (error) {
      if (!signal.aborted) this.on.failed(error);
    } finally {
      if (!signal.aborted) this.older = null;
    }
  }

  // Cancels a request for older entries, because the end of the list that they belong to changes.
  dropOlder() {
    this.older?.abort();
    this.older = null;
  }

  // Stops a search that goes on. What was found stays, and the search can go on from there.
  stop() {
    if (!this.isSearching || this.isLoading) return;
    this.loading?.abort();
    this.dropOlder();
    this.searched();
    const more = button("button", "Search on", () => {
      $("#end").replaceChildren();
      this.loadOlder();
    });
    $("#end").replaceChildren(el("p", {}, `The search was stopped. All from ${moment(this.reached)} on was looked at. `, more));
  }

  get isStopped() {
    return $("#end").childElementCount > 0;
  }

  arrived(entries) {
    this.waiting.push(...entries);
    this.waitingCount += entries.length;
    if (this.waiting.length > MOST) this.waiting.splice(0, this.waiting.length - MOST);
    this.on.arrived();
    this.flow();
  }

  // While somebody reads, with an entry open or scrolled down, new entries wait, so that the lines do not move.
  get isReading() {
    return this.list.open.length > 0 || window.scrollY > 40;
  }

  flow() {
    // A tab in the background gets no animation frames.
    if (!this.frame) this.frame = document.hidden ? setTimeout(() => this.pour(), 500) : requestAnimationFrame(() => this.pour());
  }

  pour() {
    this.frame = 0;
    if (!this.paused && !this.isReading && this.waiting.length && !this.isLoading) {
      const since = this.state.bounds.since ?? -Infinity;
      if (this.isGap) {
        this.dropOlder();
        this.list.element.replaceChildren();
        this.next = null;
        this.reached = -Infinity;
      }
      const shown = new Set(this.list.entries.slice(0, MOST).map((entry) => entry.id));
      for (const entry of this.waiting) if (!shown.has(entry.id) && entry.created_at >= since) this.insert(entry);
      this.cut(this.isGap ? 0 : PAGE * 2);
      this.waiting = [];
      this.waitingCount = 0;
      this.isGap = false;
      this.list.offer();
    }
    const news = $("#news");
    news.hidden = !this.waitingCount;
    news.textContent = `${count(this.waitingCount)} new`;
    this.on.changed();
  }

  // Inserts an entry at its place by time, because entries may arrive late. One that belongs behind the end of the list
  // is left out: it will be on an older page.
  insert(entry) {
    let before = this.list.element.firstElementChild;
    while (before && before.entry.created_at > entry.created_at) before = before.nextElementSibling;
    if (before || entry.created_at > this.reached) this.list.element.insertBefore(this.list.item(entry), before);
  }

  // Shortens the list to `keep` lines, at least a page; the older ones are loaded again when somebody scrolls down.
  cut(keep) {
    const lines = this.list.element.children;
    if (!lines.length || lines.length <= keep) return;
    this.dropOlder();
    while (lines.length > Math.max(keep, PAGE)) this.list.element.lastElementChild.remove();
    const { created_at: time, id } = this.list.element.lastElementChild.entry;
    this.next = `${time}_${id}`;
    this.reached = time;
  }

  toNewest() {
    this.list.close();
    this.setPaused(false);
    window.scrollTo(0, 0);
    // Some of the new entries were not sent or not kept: load the list again.
    if (this.isGap || this.waitingCount > this.waiting.length) this.begin();
    else this.flow();
  }

  setPaused(value) {
    this.paused = value;
    this.flow();
  }
}
