// 2D key points -> the exported chain in ONNX Runtime Web -> a 3D pose on a canvas. No other library.
import * as ort from './node_modules/onnxruntime-web/dist/ort.wasm.min.mjs';

const element = (id) => document.getElementById(id);
const STANDING = [
  [512, 260], [512, 300], [512, 330], [470, 340], [455, 420], [450, 490], [554, 340], [569, 420], [574, 490],
  [512, 410], [512, 490], [485, 490], [482, 610], [480, 730], [539, 490], [542, 610], [544, 730],
];
const state = { points: STANDING, pose: null, yaw: 0.6, pitch: 0.15, held: -1, turning: true };
let session, facts, busy = false, again = false;

function colour(name) {
  const side = /^L[A-Z]/.test(name) ? '--left' : /^R[A-Z]/.test(name) ? '--right' : '--middle';
  return getComputedStyle(document.documentElement).getPropertyValue(side);
}

// A canvas of as many pixels as the screen has, with its drawing context.
function prepared(canvas) {
  const ratio = window.devicePixelRatio || 1, side = Math.round(canvas.clientWidth * ratio);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext('2d');
  context.clearRect(0, 0, side, side);
  context.lineWidth = Math.max(2, side / 150);
  context.lineCap = 'round';
  return [context, side];
}

function drawSkeleton(canvas, places) {
  const [context, side] = prepared(canvas);
  const order = places.map((_, joint) => joint).sort((a, b) => (places[b]?.[2] ?? 0) - (places[a]?.[2] ?? 0));
  for (const joint of order) {
    const end = places[joint], start = places[facts.parents[joint]];
    if (!end || !start || facts.parents[joint] === joint) continue;
    context.strokeStyle = colour(facts.joints[joint]);
    context.beginPath();
    context.moveTo(start[0], start[1]);
    context.lineTo(end[0], end[1]);
    context.stroke();
  }
  for (const joint of order) {
    if (!places[joint]) continue;
    context.fillStyle = colour(facts.joints[joint]);
    context.beginPath();
    context.arc(places[joint][0], places[joint][1], side / 90, 0, 2 * Math.PI);
    context.fill();
  }
}

// The square around all points, so that the drawing does not depend on the picture's size.
function frame() {
  const there = state.points.filter(Boolean);
  const [xs, ys] = [0, 1].map((axis) => there.map((point) => point[axis]));
  const size = 1.3 * Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys), 1);
  return { x: (Math.min(...xs) + Math.max(...xs) - size) / 2, y: (Math.min(...ys) + Math.max(...ys) - size) / 2, size };
}

function drawFlat() {
  const canvas = element('flat');
  if (state.held < 0) state.frame = frame();
  const scale = canvas.width / state.frame.size;
  drawSkeleton(canvas, state.points.map((point) => point && [
    (point[0] - state.frame.x) * scale, (point[1] - state.frame.y) * scale, 0]));
}

function drawSpace() {
  const canvas = element('space');
  if (!state.pose) return prepared(canvas);
  const [sy, cy, sp, cp] = [Math.sin(state.yaw), Math.cos(state.yaw), Math.sin(state.pitch), Math.cos(state.pitch)];
  const scale = canvas.width / 2200;  // 2.2 m across
  drawSkeleton(canvas, state.pose.map(([x, y, z]) => {
    const turned = cy * x + sy * z, deep = cy * z - sy * x;
    return [canvas.width / 2 + scale * turned, canvas.width / 2 + scale * (cp * y - sp * deep), sp * y + cp * deep];
  }));
}

function draw() {
  drawFlat();
  drawSpace();
}

async function lift() {
  if (busy) { again = true; return; }
  busy = true;
  const flat = Float32Array.from(state.points.flatMap((point) => point ?? [NaN, NaN]));
  const mask = Uint8Array.from(state.points, (point) => point ? 1 : 0);
  const start = performance.now();
  const found = await session.run({
    poses_2d: new ort.Tensor('float32', flat, [1, 17, 2]),
    intrinsics: new ort.Tensor('float32', new Float32Array(4).fill(NaN), [1, 4]),  // the camera is unknown
    joint_mask: new ort.Tensor('bool', mask, [1, 17]),
  });
  const reason = facts.reasons[Number(found.reason.data[0])];
  const numbers = Array.from(found.pose_3d.data);
  state.pose = reason ? null : state.points.map((_, joint) => numbers.slice(3 * joint, 3 * joint + 3));
  element('state').textContent = reason ? `no label: ${reason}`
    : `quality ${found.quality.data[0].toFixed(2)}, expected error ${found.expected_error_mm.data[0].toFixed(0)} mm, `
      + `${(performance.now() - start).toFixed(0)} ms`;
  busy = false;
  draw();
  if (again) { again = false; lift(); }
}

function changed(fromText) {
  if (!fromText) element('text').value = JSON.stringify(state.points.map((p) => p && p.map(Math.round)));
  draw();
  lift();
}

function readText() {
  try {
    const points = JSON.parse(element('text').value);
    const right = Array.isArray(points) && points.length === 17 && points.some(Boolean)
      && points.every((p) => p === null || (Array.isArray(p) && p.length === 2 && p.every(Number.isFinite)));
    if (!right) throw new Error('expected 17 points [x, y], or null');
    state.points = points;
    changed(true);
  } catch (error) {
    element('state').textContent = error.message;
  }
}

function place(event) {
  const box = element('flat').getBoundingClientRect();
  const scale = state.frame.size / box.width;
  return [state.frame.x + (event.clientX - box.left) * scale, state.frame.y + (event.clientY - box.top) * scale];
}

element('flat').addEventListener('pointerdown', (event) => {
  const [x, y] = place(event);
  const apart = state.points.map((point) => point ? Math.hypot(point[0] - x, point[1] - y) : Infinity);
  const nearest = apart.indexOf(Math.min(...apart));
  if (apart[nearest] > state.frame.size / 15) return;
  state.held = nearest;
  event.target.setPointerCapture(event.pointerId);
});
element('flat').addEventListener('pointermove', (event) => {
  if (state.held < 0) return;
  state.points = state.points.map((point, joint) => joint === state.held ? place(event) : point);
  changed(false);
});
for (const name of ['pointerup', 'pointercancel']) {
  element('flat').addEventListener(name, () => { state.held = -1; draw(); });
}
element('space').addEventListener('pointerdown', (event) => {
  state.turning = false;
  event.target.setPointerCapture(event.pointerId);
});
element('space').addEventListener('pointermove', (event) => {
  if (!event.buttons) return;
  state.yaw += event.movementX / 120;
  state.pitch = Math.max(-1.5, Math.min(1.5, state.pitch + event.movementY / 120));
  drawSpace();
});
element('space').addEventListener('keydown', (event) => {
  const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
  if (!step) return;
  event.preventDefault();
  state.turning = false;
  state.yaw += step[0];
  state.pitch += step[1];
  drawSpace();
});
element('text').addEventListener('input', readText);
window.addEventListener('resize', () => { draw(); draw(); });

function turn() {
  const still = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (state.turning && !still) {
    state.yaw += 0.01;
    drawSpace();
  }
  requestAnimationFrame(turn);
}

try {
  ort.env.wasm.numThreads = 1;  // more need headers that a plain file server does not send
  facts = await (await fetch('metadata.json')).json();
  element('order').textContent = facts.joints.join(' ');
  session = await ort.InferenceSession.create('generator.onnx');
  prepared(element('flat'));
  prepared(element('space'));
  changed(false);
  turn();
} catch (error) {
  element('state').textContent = `The networks cannot be loaded: ${error.message}`;
}
