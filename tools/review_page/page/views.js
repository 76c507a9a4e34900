/** The 3D pose: from the front, the side and above, and in a view that turns. Axes: x right, y down, z away. */

import { bounds, drawSkeleton, prepared, say, styleOf } from "./drawing.js";
import { JOINTS } from "./labels.js";

const SQUARE_MM = 500;
const LEAST_REACH_MM = 400;
const NEAR = 4; // the eye is so many times the pose's reach away
const STEEPEST = Math.PI / 2 - 0.02;

/** name -> [what a viewer is told, horizontal axis, vertical axis, sign of the vertical]. */
export const FIXED_VIEWS = {
  front: ["front (as the camera sees it)", 0, 1, 1],
  side: ["side (from the camera's right)", 2, 1, 1],
  top: ["top (the camera is below)", 0, 2, -1],
};

/** Middle and half extent of a pose [51] in mm, or null when no joint is finite. */
function extentOf(pose) {
  const box = bounds(pose, 3);
  if (!box) return null;
  const middle = [0, 1, 2].map((axis) => (box.low[axis] + box.high[axis]) / 2);
  const reach = Math.max(...[0, 1, 2].map((axis) => (box.high[axis] - box.low[axis]) / 2), LEAST_REACH_MM);
  return { middle, reach, floor: box.high[1] };
}

/** Draws one of `FIXED_VIEWS` of a row, without perspective, over squares of half a metre. */
export function drawFixedView(canvas, labels, row, name, colours, options) {
  const { context, width, height } = prepared(canvas);
  const pose = labels.pose3d(row);
  const extent = extentOf(pose);
  if (!extent) return say(context, width, height, "no 3D", colours);
  const [, across, down, sign] = FIXED_VIEWS[name];
  const fit = (0.42 * Math.min(width, height)) / extent.reach;
  const place = (axis, turn, side) => (value) => side / 2 + turn * (value - extent.middle[axis]) * fit;
  const x = place(across, 1, width);
  const y = place(down, sign, height);
  context.strokeStyle = colours.grid;
  context.lineWidth = 1;
  context.beginPath();
  for (const [axis, at, vertical] of [[across, x, true], [down, y, false]]) {
    const side = vertical ? width : height;
    const reach = side / 2 / fit;
    const first = Math.ceil((extent.middle[axis] - reach) / SQUARE_MM) * SQUARE_MM;
    for (let value = first; value <= extent.middle[axis] + reach; value += SQUARE_MM) {
      const pixel = Math.round(at(value)) + 0.5;
      context.moveTo(vertical ? pixel : 0, vertical ? 0 : pixel);
      context.lineTo(vertical ? pixel : width, vertical ? height : pixel);
    }
  }
  context.stroke();
  const points = new Float64Array(2 * JOINTS);
  for (let joint = 0; joint < JOINTS; joint++) {
    points[2 * joint] = x(pose[3 * joint + across]);
    points[2 * joint + 1] = y(pose[3 * joint + down]);
  }
  const style = styleOf(labels, row, options.swapped, options.pointed);
  drawSkeleton(context, points, style, colours, Math.max(1.8, Math.min(width, height) / 60));
  return undefined;
}

/** The view that turns: angles in radians, `zoom` 1 fits the pose. */
export class TurningView {
  constructor() {
    this.reset();
  }

  reset() {
    this.yaw = -0.6;
    this.pitch = 0.2;
    this.zoom = 1;
  }

  turn(yaw, pitch) {
    const round = 2 * Math.PI;
    this.yaw = ((((this.yaw + yaw + Math.PI) % round) + round) % round) - Math.PI;
    this.pitch = Math.max(-STEEPEST, Math.min(STEEPEST, this.pitch + pitch));
  }

  zoomBy(factor) {
    this.zoom = Math.max(0.4, Math.min(4, this.zoom * factor));
  }

  /** The angles in words. */
  described() {
    const [yaw, pitch] = [this.yaw, this.pitch].map((angle) => Math.round((angle * 180) / Math.PI));
    const aside = yaw === 0 ? "from the camera" : `${Math.abs(yaw)}° to the camera's ${yaw > 0 ? "right" : "left"}`;
    return `seen ${aside}, ${pitch === 0 ? "level" : `${Math.abs(pitch)}° from ${pitch > 0 ? "above" : "below"}`}`;
  }

  /** [x, y, depth] on a canvas for a point in mm, the eye having gone round the pose by `yaw` and up by `pitch`. */
  projector(extent, width, height) {
    const [cosYaw, sinYaw] = [Math.cos(this.yaw), Math.sin(this.yaw)];
    const [cosPitch, sinPitch] = [Math.cos(this.pitch), Math.sin(this.pitch)];
    const eye = NEAR * extent.reach;
    const fit = (0.4 * this.zoom * Math.min(width, height)) / extent.reach;
    return (px, py, pz) => {
      const [x, y, z] = [px - extent.middle[0], py - extent.middle[1], pz - extent.middle[2]];
      const aside = x * cosYaw + z * sinYaw;
      const away = z * cosYaw - x * sinYaw;
      const down = y * cosPitch - away * sinPitch;
      const depth = away * cosPitch + y * sinPitch;
      const near = eye / Math.max(eye + depth, 0.05 * eye);
      return [width / 2 + aside * near * fit, height / 2 + down * near * fit, depth];
    };
  }

  draw(canvas, labels, row, colours, options) {
    const { context, width, height } = prepared(canvas);
    const pose = labels.pose3d(row);
    const extent = extentOf(pose);
    if (!extent) return say(context, width, height, `no 3D label: ${labels.reasonOf(row) || "not finite"}`, colours);
    const project = this.projector(extent, width, height);
    drawFloor(context, extent, project, colours);
    const points = new Float64Array(2 * JOINTS);
    const depths = new Float64Array(JOINTS);
    for (let joint = 0; joint < JOINTS; joint++) {
      const [x, y, depth] = project(pose[3 * joint], pose[3 * joint + 1], pose[3 * joint + 2]);
      [points[2 * joint], points[2 * joint + 1], depths[joint]] = [x, y, depth];
    }
    const limb = Math.max(2.5, Math.min(width, height) / 75) * Math.sqrt(this.zoom);
    drawSkeleton(context, points, styleOf(labels, row, options.swapped, options.pointed), colours, limb, depths);
    return undefined;
  }
}

/** Squares of half a metre at the height of the lowest joint, and where the camera stands. */
function drawFloor(context, extent, project, colours) {
  const half = Math.ceil(extent.reach / SQUARE_MM) + 1;
  const origin = [0, 2].map((axis) => Math.round(extent.middle[axis] / SQUARE_MM) * SQUARE_MM);
  const edge = half * SQUARE_MM;
  context.strokeStyle = colours.grid;
  context.lineWidth = 1;
  context.beginPath();
  for (let i = -half; i <= half; i++) {
    const at = i * SQUARE_MM;
    for (const [from, to] of [[[at, -edge], [at, edge]], [[-edge, at], [edge, at]]]) {
      const start = project(origin[0] + from[0], extent.floor, origin[1] + from[1]);
      const end = project(origin[0] + to[0], extent.floor, origin[1] + to[1]);
      context.moveTo(start[0], start[1]);
      context.lineTo(end[0], end[1]);
    }
  }
  context.stroke();
  const [x, y] = project(origin[0], extent.floor, origin[1] - edge);
  context.fillStyle = colours.muted;
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText("▲ camera", x, y);
}
