// Makes elements and formats values. The content of logs only ever becomes text: nothing is made from HTML.

export const $ = (selector) => document.querySelector(selector);

// Makes an element: `name` is a tag with classes ("span.level"), an attribute "on…" adds a listener, children are
// elements or text.
export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

export function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const pad = (number, width = 2) => String(number).padStart(width, "0");

// The Date of Unix seconds; null if it is outside the range of Date. The callers then show the number itself.
function parts(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? null : date;
}

export function clock(seconds, millis = true) {
  const date = parts(seconds);
  if (!date) return String(seconds);
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return millis ? `${time}.${pad(date.getMilliseconds(), 3)}` : time;
}

export function day(seconds) {
  const date = parts(seconds);
  return date ? `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}` : "";
}

export const isToday = (seconds) => day(seconds) === day(Date.now() / 1000);

export function moment(seconds, millis = true) {
  return isToday(seconds) ? clock(seconds, millis) : `${day(seconds)} ${clock(seconds, millis)}`;
}

export function duration(ms) {
  if (Math.abs(ms) < 0.005) return "0 ms";
  if (Math.abs(ms) < 1) return `${ms.toFixed(2)} ms`;
  if (Math.abs(ms) < 1000) return `${ms.toFixed(ms < 100 ? 1 : 0)} ms`;
  if (Math.abs(ms) < 120_000) return `${(ms / 1000).toFixed(2)} s`;
  if (Math.abs(ms) < 7_200_000) return `${(ms / 60_000).toFixed(1)} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}

export const count = (number) => number.toLocaleString("en");
