/** Which labels are shown, and in which order. */

export const ORDERS = {
  file: "source order",
  worst: "quality, lowest first",
  best: "quality, highest first",
  joint: "worst joint first",
  error: "expected error, largest first",
  residual: "search residual, largest first",
  name: "file name",
};
const MANY_GROUPS = 500;

/** Names of the groups that labels come from (their sequence, or the folder of their file) and each row's group. */
export function sourceGroups(labels) {
  const names = [];
  const numbers = new Map();
  const group = new Int32Array(labels.count);
  for (let row = 0; row < labels.count; row++) {
    const file = labels.files[labels.file[row]];
    const name = labels.sequences[labels.sequence[row]] || file.slice(0, Math.max(file.lastIndexOf("/"), 0));
    if (!numbers.has(name)) {
      if (names.length === MANY_GROUPS) return { names: [], group: null }; // a menu of thousands helps nobody
      numbers.set(name, names.length);
      names.push(name);
    }
    group[row] = numbers.get(name);
  }
  return { names, group };
}

/**
 * Rows that fit a wish, in its order.
 * wish: {text, group, action, reason, camera (numbers, -1: any; reason -2: any label, -3: none), decision ("" any,
 * "undecided", "keep", "drop", "unsure", "swapped"), low, high, order}.
 */
export function select(labels, decisions, groups, wish) {
  const fits = textFits(labels, wish.text);
  const everyQuality = wish.low <= 0 && wish.high >= 1;
  const rows = [];
  for (let row = 0; row < labels.count; row++) {
    if (wish.reason >= 0 && labels.reason[row] !== wish.reason) continue;
    if (wish.reason === -2 && labels.reason[row] !== 0) continue;
    if (wish.reason === -3 && labels.reason[row] === 0) continue;
    if (wish.group >= 0 && groups.group[row] !== wish.group) continue;
    if (wish.action >= 0 && labels.action[row] !== wish.action) continue;
    if (wish.camera >= 0 && labels.camera_kind[row] !== wish.camera) continue;
    // NaN fits no range.
    if (!everyQuality && !(labels.quality[row] >= wish.low && labels.quality[row] <= wish.high)) continue;
    if (fits && !fits(row)) continue;
    if (wish.decision && !hasDecision(decisions, row, wish.decision)) continue;
    rows.push(row);
  }
  return sorted(labels, Int32Array.from(rows), wish.order);
}

function hasDecision(decisions, row, name) {
  if (name === "swapped") return decisions.swapped(row);
  return decisions.verdict(row) === ["undecided", "keep", "drop", "unsure"].indexOf(name);
}

function textFits(labels, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return null;
  // Each text once, since many rows share it.
  const marks = {};
  for (const name of ["file", "sequence", "action"]) {
    const texts = labels[`${name}s`];
    if (texts) marks[name] = texts.map((one) => one.toLowerCase().includes(wanted));
  }
  return (row) => Object.keys(marks).some((name) => marks[name][labels[name][row]]);
}

function sorted(labels, rows, order) {
  const keys = {
    worst: (row) => labels.quality[row],
    best: (row) => -labels.quality[row],
    joint: (row) => labels.worstJoint(row),
    error: (row) => -labels.expected_error_mm[row],
    residual: (row) => -labels.residual_mm[row],
  };
  if (order === "name") {
    const names = labels.files.map((name, number) => [name, number]);
    names.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    const rank = new Int32Array(names.length);
    names.forEach(([, number], place) => {
      rank[number] = place;
    });
    return rows.sort((a, b) => rank[labels.file[a]] - rank[labels.file[b]] || a - b);
  }
  if (!(order in keys)) return rows;
  const key = new Float64Array(labels.count);
  for (const row of rows) {
    const value = keys[order](row);
    key[row] = Number.isNaN(value) ? Infinity : value; // what has no number comes last
  }
  return rows.sort((a, b) => (key[a] < key[b] ? -1 : key[a] > key[b] ? 1 : a - b));
}
