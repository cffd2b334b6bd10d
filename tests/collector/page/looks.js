// What the tests of the page's looks ask in the browser.

const isSeen = (one) => one.checkVisibility({ checkVisibilityCSS: true, contentVisibilityAuto: false });
const toLinear = (x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);

// The luminance of colours, each with its opacity, that are painted over each other, the first one at the bottom.
function painted(layers) {
  const size = { width: 1, height: 1 };
  painted.canvas ??= Object.assign(document.createElement("canvas"), size).getContext("2d", { willReadFrequently: true });
  const { canvas } = painted;
  for (const [colour, alpha] of [["#fff", 1], ...layers]) {
    canvas.globalAlpha = alpha;
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
  }
  const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((x) => toLinear(x / 255));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(element, colour) {
  const behind = [];
  let alpha = 1;
  for (let each = element; each; each = each.parentElement) {
    alpha *= Number(getComputedStyle(each).opacity);
    behind.unshift([getComputedStyle(each).backgroundColor, 1]);
  }
  const [darker, lighter] = [painted(behind), painted([...behind, [colour, alpha]])].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

// How many texts are shown, and those that have less contrast to what is behind them than WCAG's 4.5 to 1.
function contrasts() {
  const low = [];
  let seen = 0;
  for (const element of document.body.querySelectorAll("*")) {
    if (element.closest("svg, noscript") || !isSeen(element)) continue;
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const colours = hasText || element.value ? [getComputedStyle(element).color] : [];
    if (element.placeholder && !element.value) colours.push(getComputedStyle(element, "::placeholder").color);
    for (const colour of colours) {
      seen += 1;
      const found = contrast(element, colour);
      if (found < 4.5) low.push(`${element.tagName}.${element.className} ${element.textContent.slice(0, 30)}: ${found}`);
    }
  }
  return [seen, low];
}

// What is beside the screen, or cut off, without a way to see it. The screen is not innerWidth: on a phone the browser
// makes that wider, and everything smaller, where the page is too wide.
function cut() {
  const found = [];
  const screen = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > screen) found.push(`${document.documentElement.scrollWidth} pixels`);
  for (const element of document.body.querySelectorAll("*")) {
    if (element.closest(".hidden, noscript") || !isSeen(element)) continue;
    const name = `${element.tagName}#${element.id}.${element.getAttribute("class")} ${element.textContent.slice(0, 30)}`;
    const { left, right, width } = element.getBoundingClientRect();
    if (width && (right > screen + 0.5 || left < -0.5)) found.push(`${name} from ${left} to ${right}`);
    const isCut = getComputedStyle(element).overflowX === "hidden" && element.scrollWidth > element.clientWidth + 1;
    if (isCut && element.tagName !== "INPUT") found.push(`${name} is cut`);
  }
  return found;
}

const named = (one) => one.id || one.name || `${one.tagName}.${one.className} ${one.textContent.slice(0, 20)}`;

// All that the Tab key has to reach.
function reachable() {
  const among = document.querySelector("dialog[open]") ?? document;
  const all = [...among.querySelectorAll("button, a[href], input, select, summary, [tabindex='0']")];
  return all.filter((one) => isSeen(one) && !one.disabled).map(named);
}

// What has the focus, and whether that can be seen.
function focused() {
  const style = getComputedStyle(document.activeElement);
  return [named(document.activeElement), style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1];
}
