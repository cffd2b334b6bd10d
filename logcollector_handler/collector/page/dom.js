// Makes elements, and writes numbers. The content of logs only ever becomes text: nothing is made from HTML.

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

// A button with an action.
export const button = (name, text, onclick, more = {}) => el(name, { type: "button", onclick, ...more }, text);

export function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
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

// "1 entry", "2 entries".
export const entries = (number) => `${count(number)} ${number === 1 ? "entry" : "entries"}`;

// Copies a text to the clipboard, and says so on the button that was pressed.
export async function copy(pressed, text) {
  try {
    await navigator.clipboard.writeText(text);
    pressed.textContent = "Copied";
  } catch {
    pressed.textContent = "The browser did not allow it";
  }
}
