/** Skeletons on canvases: sizes in CSS pixels, sharp on any screen, colours of the theme. */

import { JOINTS } from "./labels.js";

const MADE = 1;

/** The colours of the theme in force. */
export function themeColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["left", "right", "middle", "casing", "ink", "muted", "grid", "mark", "panel"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/**
 * The context of a canvas that is as sharp as the screen, cleared, with its size in CSS pixels.
 * side: of a square canvas whose size is known, 0: asked of the page, which then has to be laid out at once.
 */
export function prepared(canvas, side = 0) {
  const width = side || canvas.clientWidth;
  const height = side || canvas.clientHeight;
  const dense = Math.min(window.devicePixelRatio || 1, 3);
  const pixels = [Math.max(1, Math.round(width * dense)), Math.max(1, Math.round(height * dense))];
  if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) [canvas.width, canvas.height] = pixels;
  const context = canvas.getContext("2d");
  context.setTransform(dense, 0, 0, dense, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** How a skeleton is drawn: parents, sides (swapped or not), which joints are made, which is pointed at. */
export function styleOf(labels, row, swapped, pointed = -1) {
  const { parents, sides, mirror } = labels.facts;
  return {
    parents,
    side: (joint) => sides[swapped ? mirror[joint] : joint],
    made: (joint) => labels.origin(row, joint) === MADE,
    pointed,
  };
}

/**
 * A skeleton whose joints lie at `points` [34] on the canvas; what is not finite is left out.
 * depths [17]: far limbs are drawn first and paler; null: the trunk first.
 */
export function drawSkeleton(context, points, style, colours, width, depths = null) {
  const known = (joint) => Number.isFinite(points[2 * joint]) && Number.isFinite(points[2 * joint + 1]);
  const limbs = [];
  for (let joint = 0; joint < JOINTS; joint++) {
    const parent = style.parents[joint];
    if (parent >= 0 && known(joint) && known(parent)) limbs.push([parent, joint]);
  }
  const order = depths
    ? ([parent, joint]) => -(depths[parent] + depths[joint]) / 2
    : ([, joint]) => (style.side(joint) === "middle" ? 0 : 1);
  limbs.sort((a, b) => order(a) - order(b));
  const casing = width > 1.5 ? 0.6 * width : 0;
  context.lineCap = "round";
  for (const [parent, joint] of limbs) {
    context.beginPath();
    context.moveTo(points[2 * parent], points[2 * parent + 1]);
    context.lineTo(points[2 * joint], points[2 * joint + 1]);
    if (casing) {
      context.strokeStyle = colours.casing;
      context.lineWidth = width + casing;
      context.stroke();
    }
    context.strokeStyle = colours[style.side(joint)];
    context.lineWidth = width;
    context.stroke();
  }
  for (let joint = 0; joint < JOINTS; joint++) {
    if (!known(joint)) continue;
    const [x, y] = [points[2 * joint], points[2 * joint + 1]];
    const radius = 0.95 * width + (style.made(joint) ? 0.3 * width : 0);
    if (casing) disc(context, x, y, radius + casing / 2, colours.casing);
    disc(context, x, y, radius, colours[style.side(joint)]);
    if (style.made(joint) && casing) disc(context, x, y, 0.6 * radius, colours.casing);
    if (joint === style.pointed) {
      context.beginPath();
      context.arc(x, y, 3 * width + 4, 0, 2 * Math.PI);
      context.strokeStyle = colours.casing;
      context.lineWidth = 5;
      context.stroke();
      context.strokeStyle = colours.mark;
      context.lineWidth = 2.5;
      context.stroke();
    }
  }
}

function disc(context, x, y, radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
}

/** Low and high corner of the finite points among `values` [size * n], per axis; null when there is none. */
export function bounds(values, size) {
  const low = new Array(size).fill(Infinity);
  const high = new Array(size).fill(-Infinity);
  for (let i = 0; i < values.length; i += size) {
    let finite = true;
    for (let axis = 0; axis < size; axis++) finite = finite && Number.isFinite(values[i + axis]);
    if (!finite) continue;
    for (let axis = 0; axis < size; axis++) {
      low[axis] = Math.min(low[axis], values[i + axis]);
      high[axis] = Math.max(high[axis], values[i + axis]);
    }
  }
  return low[0] === Infinity ? null : { low, high };
}

const LINE = 18; // px from one line of text to the next

/** Small text in the middle of a canvas, in as many lines as its width asks for. */
export function say(context, width, height, text, colours) {
  context.fillStyle = colours.muted;
  context.font = "13px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : word;
    if (lines.length && context.measureText(longer).width <= width - 16) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  const first = height / 2 - ((lines.length - 1) * LINE) / 2;
  lines.forEach((line, number) => context.fillText(line, width / 2, first + number * LINE, width - 16));
}
