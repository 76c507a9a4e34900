/** What is known of one label: facts in words, and the quality of each joint. */

import { JOINTS } from "./labels.js";
import { shownNumber, visible } from "./text.js";
import { NAMES } from "./decisions.js";

const ORIGINS = ["missing", "made", "labelled"];
const AT_RANGE_END = 1;
const DEPTH_NOMINAL = 2;
const LOW_QUALITY = 0.37; // 100 mm are to be expected
const FAIR_QUALITY = 0.61; // 50 mm

/** Writes [name, text] pairs of a row into a <dl>. */
export function showFacts(element, labels, decisions, row) {
  const flags = labels.flags[row];
  const root = [0, 1, 2].map((axis) => labels.root[3 * row + axis]);
  const pairs = [
    ["file", labels.files[labels.file[row]]],
    ["sequence", labels.sequences[labels.sequence[row]]],
    ["action", labels.actions ? labels.actions[labels.action[row]] : ""],
    ["frame", labels.frame[row] >= 0 ? String(labels.frame[row]) : ""],
    ["person", labels.person[row] >= 0 ? String(labels.person[row]) : ""],
    ["row", String(labels.facts.first + row)],
    ["no label", labels.reasonOf(row)],
    ["quality", withUnit(labels.quality[row], 2, "")],
    ["expected error", withUnit(labels.expected_error_mm[row], 0, " mm")],
    ["search residual", withUnit(labels.residual_mm[row], 0, " mm")],
    ["distance", Number.isFinite(root[2]) ? `${shownNumber(root[2] / 1000, 2)} m${flags & DEPTH_NOMINAL ? " (nominal)" : ""}` : ""],
    ["camera", labels.camera_kinds[labels.camera_kind[row]]],
    ["note", flags & AT_RANGE_END ? "depth at an end of the search range" : ""],
    ["decision", [NAMES[decisions.verdict(row)], decisions.swapped(row) ? "left and right swapped" : ""].filter(Boolean).join(", ") || "none yet"],
  ];
  const lines = [];
  for (const [name, text] of pairs) {
    if (!text) continue;
    const term = document.createElement("dt");
    term.textContent = name;
    const value = document.createElement("dd");
    const inner = document.createElement("bdi"); // a name written from right to left must not turn the line around
    inner.textContent = visible(text.slice(0, 2000));
    value.append(inner);
    lines.push(term, value);
  }
  element.replaceChildren(...lines);
}

function withUnit(value, digits, unit) {
  return Number.isFinite(value) ? shownNumber(value, digits) + unit : "";
}

/** The table of joints, made once and filled for each label. */
export class JointTable {
  /** body: a <tbody>; point(joint or -1): the pointer came to a joint. */
  constructor(body, labels, point) {
    this.labels = labels;
    this.lines = labels.facts.joints.map((name, joint) => {
      const line = document.createElement("tr");
      line.dataset.side = labels.facts.sides[joint];
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = name;
      const [origin, value] = [document.createElement("td"), document.createElement("td")];
      value.className = "value";
      const [bar, number] = [document.createElement("i"), document.createElement("b")];
      value.append(bar, number);
      line.append(head, origin, value);
      line.addEventListener("pointerenter", () => point(joint));
      line.addEventListener("pointerleave", () => point(-1));
      return line;
    });
    body.replaceChildren(...this.lines);
  }

  fill(row, pointed) {
    for (let joint = 0; joint < JOINTS; joint++) {
      const line = this.lines[joint];
      const quality = this.labels.jointQuality(row, joint);
      const known = Number.isFinite(quality);
      line.children[1].textContent = ORIGINS[this.labels.origin(row, joint)] || "";
      const [bar, number] = line.children[2].children;
      number.textContent = known ? quality.toFixed(2) : "–";
      bar.style.width = known ? `${Math.round(100 * quality)}%` : "0";
      bar.className = quality < LOW_QUALITY ? "low" : quality < FAIR_QUALITY ? "fair" : "good";
      line.classList.toggle("pointed", joint === pointed);
    }
  }
}
