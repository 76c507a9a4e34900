/** The page: what is chosen, what keys and buttons do, what is drawn when. */

import { Decisions, NAMES } from "./decisions.js";
import { JOINTS, Labels } from "./labels.js";
import { JointTable, showFacts } from "./details.js";
import { List, aboutOf } from "./list.js";
import { ORDERS, select, sourceGroups } from "./selection.js";
import { Pictures, drawPhotograph } from "./photograph.js";
import { FIXED_VIEWS, TurningView, drawFixedView } from "./views.js";
import { shortened, shownNumber, visible } from "./text.js";
import { listenToTurns, pressed } from "./controls.js";
import { themeColours } from "./drawing.js";

const element = (id) => document.getElementById(id);
const SPIN_RAD_PER_MS = 0.0006;
const NARROW = 720; // px, as in the style sheet
const THEMES = ["auto", "light", "dark"];

function openStorage() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

class Review {
  constructor() {
    this.storage = openStorage();
    this.labels = new Labels(document);
    const { facts } = this.labels;
    this.key = `pose-review:${facts.fingerprint}`;
    this.decisions = new Decisions(this.labels.applied, this.storage, this.key);
    this.decisions.load();
    this.pictures = new Pictures(this.labels);
    this.groups = sourceGroups(this.labels);
    this.view = new TurningView();
    this.place = -1;
    this.pointed = -1;
    this.spinning = false;
    this.skeleton = true;
    this.shortcuts = true;
    this.planned = 0;
    this.theme = THEMES.indexOf(this.remembered("theme", true)) > 0 ? this.remembered("theme", true) : "auto";
    this.applyTheme();
    this.list = new List(element("list"), this, (place) => this.go(place));
    this.table = new JointTable(element("joints"), this.labels, (joint) => this.point(joint));
    element("title").textContent = shortened(facts.title, 60);
    document.title = `${shortened(facts.title, 60)}: label review`;
    element("more").open = innerWidth > NARROW;
    this.fillMenus();
    this.listen();
    this.restore();
  }

  // What the browser remembers besides decisions; `everywhere`: for all reviews.

  remembered(name, everywhere = false) {
    try {
      return this.storage.getItem(everywhere ? `pose-review:${name}` : `${this.key}:${name}`);
    } catch {
      return null;
    }
  }

  remember(name, value, everywhere = false) {
    try {
      this.storage.setItem(everywhere ? `pose-review:${name}` : `${this.key}:${name}`, value);
    } catch {
      // Only decisions are worth a warning.
    }
  }

  restore() {
    let wish = {};
    try {
      wish = JSON.parse(this.remembered("wish") || "{}");
    } catch {
      wish = {};
    }
    for (const control of element("filters").elements) {
      if (control.name && typeof wish[control.name] === "string") {
        control.value = wish[control.name];
        if (control.tagName === "SELECT" && control.selectedIndex < 0) control.selectedIndex = 0;
      }
    }
    this.apply(Number(this.remembered("row") ?? -1));
    this.sayProgress();
  }

  // Filters.

  fillMenus() {
    const { labels } = this;
    const menu = (id, entries) => {
      for (const [value, text] of entries) {
        const option = document.createElement("option");
        option.value = String(value);
        option.textContent = text;
        element(id).append(option);
      }
      element(id).closest("label").hidden = element(id).options.length < 3 && id !== "order";
    };
    const counted = (names, numbers) => {
      const counts = new Array(names.length).fill(0);
      if (numbers) for (const number of numbers) counts[number] += 1;
      return names
        .map((name, number) => [number, `${shortened(name, 50) || "(none)"} (${shownNumber(counts[number])})`, counts[number]])
        .filter(([, , count]) => count > 0);
    };
    const byName = (names, numbers) => counted(names, numbers).sort((a, b) => (a[1] < b[1] ? -1 : 1));
    menu("group", byName(this.groups.names, this.groups.group));
    menu("action", labels.actions ? byName(labels.actions, labels.action) : []);
    menu("camera", counted(labels.camera_kinds, labels.camera_kind));
    const reasons = counted(labels.reasons, labels.reason).filter(([number]) => number > 0);
    const withLabel = labels.count - reasons.reduce((sum, entry) => sum + entry[2], 0);
    const first = [[-2, `with a label (${shownNumber(withLabel)})`], [-3, `without (${shownNumber(labels.count - withLabel)})`]];
    menu("reason", reasons.length ? [...first, ...reasons] : []);
    menu("order", Object.entries(ORDERS));
  }

  wish() {
    const form = element("filters").elements;
    const number = (name) => (form[name].value === "" ? -1 : Number(form[name].value));
    return {
      text: form.text.value,
      group: number("group"),
      action: number("action"),
      reason: number("reason"),
      camera: number("camera"),
      decision: form.decision.value,
      low: Number(form.low.value),
      high: Number(form.high.value),
      order: form.order.value || "file",
    };
  }

  /** Selects anew and shows `row` again where it still fits, otherwise the first. */
  apply(row = this.row) {
    const wish = this.wish();
    element("range").textContent = `${wish.low.toFixed(2)} to ${wish.high.toFixed(2)}`;
    const rows = select(this.labels, this.decisions, this.groups, wish);
    this.list.show(rows);
    const count = shownNumber(rows.length);
    element("count").textContent = `${count} of ${shownNumber(this.labels.count)} poses`;
    const controls = [...element("filters").elements].filter((control) => control.name);
    this.remember("wish", JSON.stringify(Object.fromEntries(controls.map((one) => [one.name, one.value]))));
    this.go(rows.length ? Math.max(rows.indexOf(row), 0) : -1);
  }

  clearFilters() {
    element("filters").reset();
    this.apply();
  }

  // The chosen label.

  get row() {
    return this.place < 0 ? -1 : this.list.rows[this.place];
  }

  go(place) {
    this.place = place;
    document.body.classList.toggle("nothing", place < 0);
    this.list.mark(place);
    if (place >= 0) this.remember("row", String(this.row));
    this.show();
  }

  step(by) {
    if (this.place >= 0) this.go(Math.max(0, Math.min(this.list.rows.length - 1, this.place + by)));
  }

  show() {
    const { row, labels } = this;
    const there = row >= 0;
    element("position").textContent = there
      ? `${shownNumber(this.place + 1)} of ${shownNumber(this.list.rows.length)}`
      : "no pose fits the filters";
    element("name").textContent = there ? shortened(labels.nameOf(row), 70) : "–";
    element("about").textContent = there ? aboutOf(labels, row) : "";
    for (const button of document.querySelectorAll("[data-needs-label]")) button.disabled = !there;
    const verdict = there ? this.decisions.verdict(row) : 0;
    for (const button of document.querySelectorAll("[data-verdict]")) {
      button.setAttribute("aria-pressed", String(there && NAMES[verdict] === button.dataset.verdict));
    }
    element("swap").setAttribute("aria-pressed", String(there && this.decisions.swapped(row)));
    document.body.dataset.verdict = NAMES[verdict];
    if (there) {
      showFacts(element("facts"), labels, this.decisions, row);
      this.table.fill(row, this.pointed);
      for (let ahead = 1; ahead <= 2; ahead++) {
        if (this.place + ahead < this.list.rows.length) this.pictures.get(this.list.rows[this.place + ahead]);
      }
    }
    this.plan();
  }

  plan() {
    if (!this.planned) this.planned = requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.planned = 0;
    const { row, labels, colours } = this;
    if (row < 0) return;
    const options = { swapped: this.decisions.mirrored(row), pointed: this.pointed, skeleton: this.skeleton };
    const image = this.pictures.get(row, () => this.row === row && this.plan());
    drawPhotograph(element("photograph"), labels, row, image, colours, options);
    const said = image ? "2D skeleton on its picture" : "2D skeleton, without a picture";
    element("photograph").setAttribute("aria-label", `${said}: ${aboutOf(labels, row)}`);
    this.view.draw(element("turning"), labels, row, colours, options);
    element("turning").setAttribute("aria-label", `3D skeleton, ${this.view.described()}. Arrow keys turn it.`);
    element("angles").textContent = this.view.described();
    for (const name of Object.keys(FIXED_VIEWS)) {
      drawFixedView(element(name), labels, row, name, colours, options);
    }
  }

  point(joint) {
    this.pointed = joint;
    if (this.row >= 0) this.table.fill(this.row, joint);
    this.plan();
  }

  pointNext(by) {
    const next = this.pointed < 0 ? (by > 0 ? 0 : JOINTS - 1) : (this.pointed + by + JOINTS) % JOINTS;
    this.point(next);
    const quality = this.labels.jointQuality(this.row, next);
    this.say(`${this.labels.facts.joints[next]}: quality ${Number.isFinite(quality) ? quality.toFixed(2) : "unknown"}`);
  }

  // Decisions.

  decide(verdict) {
    const { row } = this;
    if (row < 0) return;
    this.decisions.decide(row, verdict);
    const now = this.decisions.verdict(row);
    this.changed(row);
    if (now && element("onwards").checked) this.step(1);
    this.say(`${now ? NAMES[now] : "undecided"}. Now ${element("position").textContent}`);
  }

  swap() {
    if (this.row < 0) return;
    this.decisions.swap(this.row);
    this.changed(this.row);
    this.say(this.decisions.swapped(this.row) ? "left and right swapped" : "left and right as they were");
  }

  undo(again = false) {
    const row = again ? this.decisions.redo() : this.decisions.undo();
    if (row < 0) {
      this.say(again ? "nothing to do again" : "nothing to undo");
      return;
    }
    const place = this.list.rows.indexOf(row);
    if (place >= 0) this.go(place);
    this.changed(row);
    this.say(`${again ? "done again" : "undone"}: ${NAMES[this.decisions.verdict(row)] || "undecided"}`);
  }

  changed(row) {
    const place = this.list.rows.indexOf(row);
    if (place >= 0) {
      this.list.refresh(place);
      const card = this.list.cards.get(place);
      if (card) this.list.paint(card);
    }
    this.sayProgress();
    this.show();
  }

  sayProgress() {
    const { counts } = this.decisions;
    const share = this.labels.count ? counts.decided / this.labels.count : 0;
    const parts = ["keep", "drop", "unsure", "swapped"].filter((name) => counts[name]);
    const words = parts.map((name) => `${shownNumber(counts[name])} ${name}`).join(" · ");
    element("progress").textContent = `${shownNumber(counts.decided)} of ${shownNumber(this.labels.count)} decided`;
    element("tally").textContent = words;
    element("bar").style.width = `${100 * share}%`;
    element("undo").disabled = !this.decisions.done.length;
    element("unkept").hidden = this.decisions.kept;
  }

  say(text) {
    element("said").textContent = text;
  }

  exportText() {
    return this.decisions.exported(this.labels, {
      undecided: element("undecided").value,
      unsure: element("unsure").value,
    });
  }

  download() {
    const place = URL.createObjectURL(new Blob([this.exportText()], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = place;
    link.download = "decisions.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(place), 10_000);
    element("export").close();
    this.say("decisions.json downloaded");
  }

  async take(file) {
    try {
      const { taken, unknown } = this.decisions.imported(await file.text(), this.labels);
      const rest = unknown ? `; ${shownNumber(unknown)} are of other labels` : "";
      this.tell(`${shownNumber(taken)} decisions taken from the file${rest}.`);
    } catch (error) {
      this.tell(`${shortened(file.name)}: ${error.message}.`);
    }
    this.list.redraw();
    this.sayProgress();
    this.show();
  }

  tell(text) {
    element("told-text").textContent = text;
    element("told").showModal();
  }

  // Theme.

  applyTheme() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = this.theme === "auto" ? (dark ? "dark" : "light") : this.theme;
    element("theme").textContent = `Theme: ${this.theme}`;
    this.colours = themeColours();
  }

  nextTheme() {
    this.theme = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length];
    this.remember("theme", this.theme, true);
    this.recolour();
  }

  recolour() {
    this.applyTheme();
    this.list.redraw();
    this.plan();
  }

  // Events.

  listen() {
    const click = (id, act) => element(id).addEventListener("click", act);
    for (const button of document.querySelectorAll("[data-verdict]")) {
      button.addEventListener("click", () => this.decide(NAMES.indexOf(button.dataset.verdict)));
    }
    click("swap", () => this.swap());
    click("undo", () => this.undo());
    click("previous", () => this.step(-1));
    click("next", () => this.step(1));
    click("clear", () => this.clearFilters());
    click("theme", () => this.nextTheme());
    click("export-open", () => element("export").showModal());
    click("download", () => this.download());
    click("import-open", () => element("import").click());
    click("help-open", () => element("help").showModal());
    click("reset", () => this.resetView());
    click("spin", () => this.spin());
    click("bare", () => this.bare());
    for (const button of document.querySelectorAll("dialog [data-close]")) {
      button.addEventListener("click", () => button.closest("dialog").close());
    }
    for (const tab of document.querySelectorAll("[data-tab]")) {
      tab.addEventListener("click", () => this.openTab(tab.dataset.tab));
    }
    element("import").addEventListener("change", (event) => {
      const [file] = event.target.files;
      if (file) this.take(file);
      event.target.value = "";
    });
    element("filters").addEventListener("submit", (event) => event.preventDefault());
    let waiting = 0;
    element("filters").addEventListener("input", (event) => {
      if (event.target.name === "low" || event.target.name === "high") this.keepRange(event.target.name);
      clearTimeout(waiting);
      waiting = setTimeout(() => this.apply(), event.target.name === "text" ? 200 : 60);
    });
    element("shortcuts").addEventListener("change", (event) => {
      this.shortcuts = event.target.checked;
    });
    document.addEventListener("keydown", (event) => pressed(this, event));
    listenToTurns(this, element("turning"));
    // The canvases too: a caption that takes another line leaves them less height, and what is drawn would be stretched.
    const sizes = new ResizeObserver(() => this.plan());
    for (const drawn of [element("stage"), ...document.querySelectorAll("#stage canvas")]) sizes.observe(drawn);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    addEventListener("pagehide", () => this.decisions.save());
    document.addEventListener("visibilitychange", () => document.hidden && this.decisions.save());
    // The same review in another tab.
    addEventListener("storage", (event) => {
      if (event.key !== this.key) return;
      this.decisions.load();
      this.list.redraw();
      this.sayProgress();
      this.show();
    });
  }

  keepRange(moved) {
    const { low, high } = element("filters").elements;
    if (Number(low.value) > Number(high.value)) {
      if (moved === "low") high.value = low.value;
      else low.value = high.value;
    }
  }

  resetView() {
    this.view.reset();
    this.plan();
  }

  spin() {
    this.spinning = !this.spinning;
    element("spin").setAttribute("aria-pressed", String(this.spinning));
    let before = performance.now();
    const turn = (now) => {
      if (!this.spinning) return;
      this.view.turn((now - before) * SPIN_RAD_PER_MS, 0);
      before = now;
      this.plan();
      requestAnimationFrame(turn);
    };
    if (this.spinning) requestAnimationFrame(turn);
  }

  bare() {
    this.skeleton = !this.skeleton;
    element("bare").setAttribute("aria-pressed", String(!this.skeleton));
    this.plan();
  }

  openTab(name) {
    document.body.dataset.tab = name;
    for (const tab of document.querySelectorAll("[data-tab]")) {
      if (tab.tagName === "BUTTON") tab.setAttribute("aria-pressed", String(tab.dataset.tab === name));
    }
    this.list.mark(this.place);
    this.list.plan();
    this.plan();
  }

  zoom(factor) {
    this.view.zoomBy(factor);
    this.plan();
  }

  openFilters() {
    this.openTab("list");
    element("more").open = true;
    element("filters").elements.text.focus();
  }
}

window.review = new Review();
document.body.classList.add("ready");
