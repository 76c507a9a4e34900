/** The 2D pose on its picture, or alone. */

import { bounds, drawSkeleton, prepared, say, styleOf } from "./drawing.js";

const MARGIN = 0.12;

/** The crops of a review, asked for when they are needed and remembered while they are likely to be needed again. */
export class Pictures {
  constructor(labels, most = 300) {
    this.labels = labels;
    this.most = most;
    this.images = new Map();
  }

  /** The picture of a row when it is there; otherwise null, and `then` is called once it has come (or never will). */
  get(row, then) {
    const place = this.labels.pictureOf(row);
    if (!place) return null;
    let entry = this.images.get(row);
    if (entry) {
      this.images.delete(row); // the one used last stands last
    } else {
      entry = { image: new Image(), ready: false, waiting: [] };
      const made = entry;
      made.image.decoding = "async";
      made.image.onload = () => finish(made, true);
      made.image.onerror = () => finish(made, false);
      made.image.src = place;
      if (this.images.size >= this.most) this.images.delete(this.images.keys().next().value);
    }
    this.images.set(row, entry);
    if (entry.ready) return entry.image;
    if (entry.waiting && then) entry.waiting.push(then);
    return null;
  }

  /** Whether a row has a picture that came, or may still come. */
  hopeful(row) {
    const entry = this.images.get(row);
    return this.labels.pictureOf(row) !== "" && !(entry && !entry.ready && !entry.waiting);
  }
}

function finish(entry, ready) {
  const waiting = entry.waiting;
  entry.ready = ready;
  entry.waiting = null;
  for (const then of waiting) then();
}

/** Draws row's 2D pose, on its picture when `image` is there. options: {swapped, pointed, thumbnail (its side in px), skeleton}. */
export function drawPhotograph(canvas, labels, row, image, colours, options = {}) {
  const { context, width, height } = prepared(canvas, options.thumbnail);
  const pose = labels.pose2d(row);
  const [left, top, scale] = labels.crop.subarray(3 * row, 3 * row + 3);
  const points = new Float64Array(pose.length);
  let size = 0;
  if (image) {
    const fit = Math.min(width / image.naturalWidth, height / image.naturalHeight);
    const at = [(width - fit * image.naturalWidth) / 2, (height - fit * image.naturalHeight) / 2];
    context.drawImage(image, at[0], at[1], fit * image.naturalWidth, fit * image.naturalHeight);
    // Centres of pixels have whole coordinates.
    for (let i = 0; i < pose.length; i++) {
      points[i] = at[i % 2] + (pose[i] + 0.5 - (i % 2 ? top : left)) * scale * fit;
    }
    context.save();
    context.beginPath();
    context.rect(at[0], at[1], fit * image.naturalWidth, fit * image.naturalHeight);
    context.clip();
  } else {
    const box = bounds(pose, 2);
    if (!box) {
      say(context, width, height, options.thumbnail ? "no pose" : "no 2D pose", colours);
      return;
    }
    const reach = [0, 1].map((axis) => Math.max(box.high[axis] - box.low[axis], 1e-6));
    const fit = (1 - 2 * MARGIN) * Math.min(width / reach[0], height / reach[1]);
    for (let i = 0; i < pose.length; i++) {
      const axis = i % 2;
      points[i] = (axis ? height : width) / 2 + (pose[i] - (box.low[axis] + box.high[axis]) / 2) * fit;
    }
    context.save();
  }
  const extent = bounds(points, 2);
  if (extent) size = Math.hypot(extent.high[0] - extent.low[0], extent.high[1] - extent.low[1]);
  const limb = options.thumbnail ? 2 : Math.min(Math.max(Math.min(size, height) / 75, 2), 6);
  const style = styleOf(labels, row, options.swapped, options.pointed);
  if (options.skeleton !== false) drawSkeleton(context, points, style, colours, limb);
  context.restore();
}
