/** Texts of strangers as they may be shown: nothing hidden in them, nothing that turns the line around, not too long. */

const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** `text` with control characters, direction marks, lone surrogates and their like written as \u{...}. */
export function visible(text) {
  return text.replace(HIDDEN, (sign) => `\\u{${sign.codePointAt(0).toString(16)}}`);
}

/** `visible` text of at most `most` characters; what is too long loses its middle, since names differ at both ends. */
export function shortened(text, most = 90) {
  if (text.length > 4 * most) text = text.slice(0, 2 * most) + text.slice(-2 * most);
  const signs = [...visible(text)];
  if (signs.length <= most) return signs.join("");
  const end = Math.floor(most / 2);
  return `${signs.slice(0, most - end - 1).join("")}…${signs.slice(-end).join("")}`;
}

/** A number for people: 1234.5 -> "1,234.5"; "–" for what is no number. */
export function shownNumber(value, digits = 0) {
  if (!Number.isFinite(value)) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
