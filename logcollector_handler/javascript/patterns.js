/**
 * What is masked in texts by how it looks, whatever the name of its field, as in Python's `entry/patterns.py` and
 * `wire/masked.py`: all of what a regular expression matches. `common` stands for the ready ones below.
 *
 * Each of these has texts one of which is in whatever it matches, or a hint: most entries have nothing of the kind, which is
 * told by one look at the whole line.
 */
import { COLUMNS } from "./columns.js";
import { MASK, bare, unused } from "./plain.js";

/** In a list of patterns, all the ready ones. */
export const COMMON = "common";

/** Columns whose texts are enumerations. */
const CHOICES = ["level", "log_type", "environment", "method"];

/**
 * Makes a line of an entry.
 *
 * @typedef {(entry: Record<string, any>) => string} Mask
 * @typedef {{found: RegExp, shown: (...match: any[]) => string, hint: (text: string) => boolean}} Pattern
 */

/** @param {RegExp | string} pattern @param {string[] | RegExp} [signs] @param {(...match: any[]) => string} [shown] @returns {Pattern} */
function ready(pattern, signs = /(?:)/, shown = (match) => (match ? MASK : "")) {
  const { source, flags } = new RegExp(pattern);
  const hint = Array.isArray(signs) ? (/** @type {string} */ text) => signs.some((each) => text.includes(each)) : (/** @type {string} */ text) => signs.test(text);
  return { found: new RegExp(source, `${flags.replace(/[gy]/g, "")}g`), shown, hint };
}

/** Keys of well-known services, each with texts one of which is in all of them. @type {[string, string[]][]} */
export const KEYS = [
  ["(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])", ["AKIA", "ASIA"]],
  ["gh[oprsu]_[A-Za-z0-9]{30,255}", ["gho_", "ghp_", "ghr_", "ghs_", "ghu_"]],
  ["github_pat_\\w{22,255}", ["github_pat_"]],
  ["glpat-[\\w-]{20,255}", ["glpat-"]],
  ["xox[abeoprs]-[\\w-]{10,255}", ["xox"]],
  ["xapp-[\\w-]{10,255}", ["xapp-"]],
  ["[rs]k_(?:live|test)_[A-Za-z0-9]{10,255}", ["k_live_", "k_test_"]],
  ["whsec_[\\w+/=]{16,255}", ["whsec_"]],
  ["AIza[\\w-]{35}", ["AIza"]],
  ["ya29\\.[\\w-]{20,2048}", ["ya29."]],
  ["GOCSPX-[\\w-]{20,255}", ["GOCSPX-"]],
  ["sk-(?<![\\w-]sk-)(?=[\\w-]{0,255}\\d)[\\w-]{20,255}", ["sk-"]],
  ["SG\\.[\\w-]{16,64}\\.[\\w-]{16,128}", ["SG."]],
  ["npm_[A-Za-z0-9]{30,255}", ["npm_"]],
  ["pypi-[\\w-]{16,2048}", ["pypi-"]],
  ["hf_[A-Za-z0-9]{30,255}", ["hf_"]],
  ["hvs\\.[\\w-]{20,2048}", ["hvs."]],
  ["\\d{8,10}:AA[\\w-]{33}", [":AA"]],
  ["hooks\\.slack\\.com/services/[\\w/]{20,255}", ["hooks.slack.com/"]],
];
const PEM = /-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----[^]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----|$)/;
const JWT = /(?<![\w-])eyJ[\w-]{8,}(?:\.[\w-]*){2,4}/;
const AUTHORIZATION = /(authorization["']{0,2}\s{0,2}[:=,]\s{0,2}["']?(?:[A-Za-z]{3,20}\s{1,4})?)[^\s"',]+/i;
const SCHEME = /(?<![A-Za-z])((bearer|basic) {1,4})([\w.~+/-]{4,}=*)/i;
const PASSWORD_IN_URL = /:\/\/([^\s/:@?#[]*):(?!\d+(?:[/?#\s]|$))(?:[^\s/?#"'<>]*@|[^\s"'<>]{0,60}?@)/;
const MAIL = /(?<![\p{L}\p{N}_.%+-])[\p{L}\p{N}_.%+-]+@(?:[\p{L}\p{N}_-]+\.)+\p{L}{2,}/u;
/** Digits that may be in groups with a space or a dash between, but not those of a word, a fraction or a UUID. */
const DIGITS = /[0-9](?<![\p{L}\p{N}][0-9])(?<!\.[0-9])(?<![0-9]-[0-9])(?<![0-9a-fA-F]{4}-[0-9])(?:[ -]?[0-9]){11,}(?![\p{L}\p{N}])/u;
/** How the numbers of cards begin, and how long they are; with the check digit that `isChecked` knows. */
const CARD = new RegExp(
  "^(?:4\\d{12}(?:\\d{3}){0,2}|5[1-5]\\d{14}|2(?:22[1-9]|2[3-9]\\d|[3-6]\\d\\d|7[01]\\d|720)\\d{12}|220[0-4]\\d{12}|3[47]\\d{13}" +
    "|3(?:0[0-5]|[689]\\d)\\d{11}|35\\d{14}|(?:50|5[6-9]|6\\d)\\d{10,17})$",
);
const [SHORTEST_CARD, LONGEST_CARD] = [12, 19];
/** A word behind `Bearer` that is longer is taken for a token, though it has small letters only. */
const LONGEST_WORD = 15;

/** @returns {Pattern[]} */
const commonOnes = () => [
  ready(PEM, ["PRIVATE KEY"]),
  ready(JWT, ["eyJ"]),
  ready(`(?<![A-Za-z0-9])(?:${KEYS.map(([key]) => key).join("|")})`, KEYS.flatMap(([, signs]) => signs)),
  ready(AUTHORIZATION, /uthorization/i, (_, before) => before + MASK),
  ready(SCHEME, /(?:earer|asic) /i, credentials),
  ready(PASSWORD_IN_URL, ["://"], (_, user) => `://${user}:${MASK}@`),
  ready(MAIL, ["@"]),
  ready(DIGITS, /[0-9][0-9 -]{11}/, cards),
];

/** What makes lines of entries in which these patterns are masked. @param {("common" | RegExp)[]} given @returns {Mask} */
export function masking(given) {
  if (!given.length) return (entry) => JSON.stringify(entry);
  const patterns = given.flatMap((each) => (each === COMMON ? commonOnes() : [ready(each)]));

  /** @param {string} text */
  const masked = (text) => {
    for (const { found, shown, hint } of patterns) if (hint(text)) text = text.replace(found, shown);
    return text;
  };

  /** What JSON can hold, with its texts masked, the names too. A whole number counts as the text of its digits. @param {any} value @returns {any} */
  const within = (value) => {
    if (typeof value === "string") return masked(value);
    if (Array.isArray(value)) return value.map(within);
    if (typeof value === "object" && value !== null) {
      const made = bare();
      for (const [name, each] of Object.entries(value)) made[unused(masked(name), made)] = within(each);
      return made;
    }
    const text = String(value);
    return Number.isInteger(value) && masked(text) !== text ? masked(text) : value;
  };

  /** A text of a column, within its limit: the mask can be longer than what it stands for. @param {string} name @param {string} text */
  const column = (name, text) => {
    const made = masked(text);
    const rule = COLUMNS.get(name);
    // An identifier that is cut is none.
    return rule && made !== text ? (rule(made)[0] ?? MASK) : made;
  };

  return (entry) => {
    const line = JSON.stringify(entry);
    if (!patterns.some(({ hint }) => hint(line))) return line;
    const made = Object.entries(entry).map(([name, value]) => {
      if (name === "metadata") return [name, within(value)];
      return [name, typeof value === "string" && !CHOICES.includes(name) ? column(name, value) : value];
    });
    return JSON.stringify(Object.fromEntries(made));
  };
}

/** Scheme and mask; the match as it is if what stands behind the scheme reads like the next word of a sentence. @param {string[]} match */
function credentials(...[match, before, scheme, value]) {
  const token = value.replace(/[.=]+$/, "");
  const isSecret = /^basic$/i.test(scheme) ? decoded(token).includes(":") : token.length > LONGEST_WORD || !/^[A-Za-z][a-z]+$/.test(token);
  return isSecret ? before + MASK : match;
}

/** @param {string} text of base64 */
function decoded(text) {
  try {
    return atob(text);
  } catch {
    return "";
  }
}

/** The digits, with what is the number of a card masked: all groups from one to another, or one of them. @param {string} text */
function cards(text) {
  const places = [...text].flatMap((sign, place) => (/\d/.test(sign) ? [place] : []));
  const digits = places.map((place) => text[place]).join("");
  // Numbers of digits before which a group begins, and after which one ends.
  const begins = [0, ...places.keys()].filter((each, at) => at === 0 || (each > 0 && places[each] - places[each - 1] > 1));
  const ends = new Set([...begins, places.length]);
  let [made, done] = ["", 0];
  for (const begin of begins) {
    if (places[begin] < done || !/[2-6]/.test(digits[begin])) continue;
    for (let end = begin + LONGEST_CARD; end >= begin + SHORTEST_CARD; end--) {
      const number = digits.slice(begin, end);
      if (end > digits.length || !ends.has(end) || !CARD.test(number) || !isChecked(number)) continue;
      made += text.slice(done, places[begin]) + MASK;
      done = places[end - 1] + 1;
      break;
    }
  }
  return made + text.slice(done);
}

/** Whether the last digit is what Luhn's formula makes of the others. @param {string} digits */
function isChecked(digits) {
  const sum = [...digits].reverse().reduce((sum, digit, place) => sum + (place % 2 ? [0, 2, 4, 6, 8, 1, 3, 5, 7, 9][Number(digit)] : Number(digit)), 0);
  return sum % 10 === 0;
}
