/** What the user decided: one number a label, undone step by step, kept in the browser, exported as JSON. */

export const UNDECIDED = 0;
export const KEEP = 1;
export const DROP = 2;
export const UNSURE = 3;
export const NAMES = ["", "keep", "drop", "unsure"];
const VERDICT = 3;
const SWAPPED = 4;
const FORMAT = "pose label decisions";
const VERSION = 1;

export class Decisions {
  /**
   * applied: decisions with which the labels were made, a number each; they are where a review starts.
   * storage: localStorage or something like it, or null; key: names this set of labels in it.
   */
  constructor(applied, storage, key) {
    this.applied = applied;
    this.values = new Uint8Array(applied.length);
    this.counts = { decided: 0, keep: 0, drop: 0, unsure: 0, swapped: 0 };
    applied.forEach((value, row) => this.put(row, value));
    this.storage = storage;
    this.key = key;
    this.kept = storage !== null;
    this.done = [];
    this.undone = [];
    this.timer = 0;
  }

  verdict(row) {
    return this.values[row] & VERDICT;
  }

  swapped(row) {
    return (this.values[row] & SWAPPED) !== 0;
  }

  /** Whether the sides that the labels have are to be exchanged: swapped now, and not when they were made, or back. */
  mirrored(row) {
    return ((this.values[row] ^ this.applied[row]) & SWAPPED) !== 0;
  }

  /** Decides a row; the same verdict again takes it back. */
  decide(row, verdict) {
    const value = this.values[row];
    const next = (value & VERDICT) === verdict ? UNDECIDED : verdict;
    this.change(row, (value & SWAPPED) | next);
  }

  swap(row) {
    this.change(row, this.values[row] ^ SWAPPED);
  }

  change(row, value) {
    this.done.push([row, this.values[row], value]);
    this.undone = [];
    this.put(row, value);
    this.saveSoon();
  }

  /** Takes the last step back; returns its row, or -1. */
  undo() {
    return this.step(this.done, this.undone, 1);
  }

  redo() {
    return this.step(this.undone, this.done, 2);
  }

  step(from, to, side) {
    const step = from.pop();
    if (!step) return -1;
    to.push(step);
    this.put(step[0], step[side]);
    this.saveSoon();
    return step[0];
  }

  put(row, value) {
    this.tally(this.values[row], -1);
    this.values[row] = value;
    this.tally(value, 1);
  }

  tally(value, by) {
    const verdict = value & VERDICT;
    if (verdict) {
      this.counts.decided += by;
      this.counts[NAMES[verdict]] += by;
    }
    if (value & SWAPPED) this.counts.swapped += by;
  }

  saveSoon() {
    if (!this.timer) this.timer = setTimeout(() => this.save(), 200);
  }

  /** Puts all decisions into the storage: a digit a label. */
  save() {
    clearTimeout(this.timer);
    this.timer = 0;
    try {
      this.storage.setItem(this.key, this.values.join(""));
      this.kept = true;
    } catch {
      this.kept = false; // no storage, or a full one: the page says so
    }
  }

  /** Takes the decisions that the storage has. */
  load() {
    let text = null;
    try {
      text = this.storage.getItem(this.key);
    } catch {
      this.kept = false;
    }
    if (text === null || text.length !== this.values.length || /[^0-7]/.test(text)) return;
    for (let row = 0; row < text.length; row++) this.put(row, text.charCodeAt(row) - 48);
  }

  /**
   * The JSON text of all decisions, one a line.
   * otherwise: {undecided, unsure}, each "keep" or "drop": what commands do with such records.
   */
  exported(labels, otherwise) {
    const head = { format: FORMAT, version: VERSION, labels: labels.facts.title, ...otherwise };
    const lines = [];
    for (let row = 0; row < this.values.length; row++) {
      const value = this.values[row];
      if (!value) continue;
      const entry = { ...labels.identity(row), decision: NAMES[value & VERDICT] };
      if (value & SWAPPED) entry.swap = true;
      lines.push(ascii(JSON.stringify(entry)));
    }
    return `${ascii(JSON.stringify(head)).slice(0, -1)},"decisions":[\n${lines.join(",\n")}\n]}\n`;
  }

  /** Takes the decisions of an exported text; returns {taken, unknown}; throws an Error that says what is wrong. */
  imported(text, labels) {
    let content = null;
    try {
      content = JSON.parse(text);
    } catch {
      throw new Error("not JSON");
    }
    if (content === null || content.format !== FORMAT || !Array.isArray(content.decisions)) {
      throw new Error("no decisions of a review page");
    }
    if (content.version !== VERSION) throw new Error(`version ${content.version}, this page knows ${VERSION}`);
    const rows = new Map();
    for (let row = 0; row < labels.count; row++) rows.set(keyOf(labels.identity(row)), row);
    let taken = 0;
    for (const entry of content.decisions) {
      const row = rows.get(keyOf(entry));
      const verdict = NAMES.indexOf(entry.decision);
      if (row === undefined || verdict < 0) continue;
      this.change(row, verdict | (entry.swap === true ? SWAPPED : 0));
      taken += 1;
    }
    return { taken, unknown: content.decisions.length - taken };
  }
}

function keyOf(entry) {
  return JSON.stringify([entry.file, entry.sequence, entry.frame, entry.person, entry.row ?? -1]);
}

/** JSON in which every character beyond ASCII is escaped, so that lone surrogates of odd file names survive. */
function ascii(json) {
  return json.replace(/[\u007f-\uffff]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
