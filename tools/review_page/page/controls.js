/** What keys, mouse and fingers do. */

import { DROP, KEEP, UNSURE } from "./decisions.js";
import { ROW_HEIGHT } from "./list.js";

const STEP_RAD = Math.PI / 18;

/** The mouse or one finger turns the 3D view, two fingers make it larger or smaller. */
export function listenToTurns(review, canvas) {
  const fingers = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    if (fingers.size === 1) {
      review.view.turn(-(now[0] - before[0]) * 0.01, (now[1] - before[1]) * 0.01);
    } else {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
      review.view.zoomBy(apart(now) / Math.max(apart(before), 1));
    }
    fingers.set(event.pointerId, now);
    review.plan();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  canvas.addEventListener("dblclick", () => review.resetView());
}

/** Does what a key says, unless it is meant for a field or a dialog. */
export function pressed(review, event) {
  const { target } = event;
  if (event.defaultPrevented || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey && event.key.toLowerCase() !== "z") || target.matches("select, textarea, input:not([type=checkbox])")) return;
  const act = actionOf(review, event, target.id === "turning");
  if (act) {
    event.preventDefault();
    act();
  }
}

function actionOf(review, event, turning) {
  const { key } = event;
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  if (turning && key in arrows) {
    const [yaw, pitch] = arrows[key];
    return () => {
      review.view.turn(yaw * STEP_RAD, pitch * STEP_RAD);
      review.plan();
    };
  }
  const page = Math.max(1, Math.floor(document.getElementById("list").clientHeight / ROW_HEIGHT) - 1);
  const moves = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, PageUp: -page, PageDown: page };
  if (key in moves) return () => review.step(moves[key]);
  if (key === "Home" || key === "End") return () => review.step(key === "End" ? review.list.rows.length : -review.list.rows.length);
  if (event.ctrlKey) return () => review.undo(event.shiftKey);
  if (!review.shortcuts) return null;
  const letters = {
    k: () => review.decide(KEEP),
    d: () => review.decide(DROP),
    u: () => review.decide(UNSURE),
    s: () => review.swap(),
    z: () => review.undo(event.shiftKey),
    j: () => review.pointNext(event.shiftKey ? -1 : 1),
    escape: () => review.point(-1),
    r: () => review.resetView(),
    t: () => review.spin(),
    b: () => review.bare(),
    e: () => document.getElementById("export").showModal(),
    f: () => review.openFilters(),
    "/": () => review.openFilters(),
    "?": () => document.getElementById("help").showModal(),
    "+": () => review.zoom(1.2),
    "-": () => review.zoom(1 / 1.2),
  };
  return letters[key.toLowerCase()] || null;
}
