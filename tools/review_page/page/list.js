/** A list of any length: only the rows that are on the screen are in the page. */

import { shortened, shownNumber } from "./text.js";
import { drawPhotograph } from "./photograph.js";
import { NAMES } from "./decisions.js";

export const ROW_HEIGHT = 76; // px, as in the style sheet
const THUMBNAIL = 64; // px, likewise
const BEYOND = 4; // rows kept ready above and below
const QUIET_MS = 70; // pictures are asked for when scrolling has paused so long
const TALLEST_PX = 8_000_000; // browsers stop at some 16 million px; longer lists are scrolled in larger steps

export class List {
  /** element: the scrolling box; state: {labels, decisions, pictures, colours}; choose(place): a row was clicked. */
  constructor(element, state, choose) {
    this.element = element;
    this.state = state;
    this.rows = new Int32Array(0);
    this.current = -1;
    this.cards = new Map();
    this.spare = [];
    this.space = document.createElement("div");
    this.space.className = "space";
    this.space.setAttribute("role", "presentation");
    element.replaceChildren(this.space);
    this.planned = 0;
    this.timer = 0;
    element.addEventListener("scroll", () => this.plan(), { passive: true });
    new ResizeObserver(() => this.plan()).observe(element);
    element.addEventListener("click", (event) => {
      const card = event.target.closest("[role=option]");
      if (card) choose(Number(card.dataset.place));
    });
  }

  /** Shows these rows. */
  show(rows) {
    this.rows = rows;
    for (const card of this.cards.values()) this.retire(card);
    this.cards.clear();
    this.space.style.height = `${Math.min(rows.length * ROW_HEIGHT, TALLEST_PX)}px`;
    this.draw();
  }

  /** Marks a place as the chosen one and brings it onto the screen. */
  mark(place) {
    const before = this.cards.get(this.current);
    this.current = place;
    if (before) this.fill(before);
    if (place < 0) {
      this.element.removeAttribute("aria-activedescendant");
      return;
    }
    const shown = this.element.clientHeight;
    const top = place * ROW_HEIGHT;
    const from = this.element.scrollTop / this.share; // the px of the whole list that is uppermost on the screen
    if (shown && top < from) this.element.scrollTop = top * this.share;
    if (shown && top + ROW_HEIGHT > from + shown) this.element.scrollTop = (top + ROW_HEIGHT - shown) * this.share;
    this.draw();
    const card = this.cards.get(place);
    if (card) {
      this.fill(card); // it may have been on the screen before it was chosen
      this.element.setAttribute("aria-activedescendant", card.id);
    }
  }

  /** Draws a place anew, its decision having changed. */
  refresh(place) {
    const card = this.cards.get(place);
    if (card) this.fill(card);
  }

  /** Draws everything anew, the theme having changed. */
  redraw() {
    for (const card of this.cards.values()) {
      this.fill(card);
      this.paint(card);
    }
  }

  /** How many px of scrolling one px of the whole list is; 1 unless the list is taller than browsers can do. */
  get share() {
    const whole = this.rows.length * ROW_HEIGHT - this.element.clientHeight;
    return whole > TALLEST_PX ? (TALLEST_PX - this.element.clientHeight) / whole : 1;
  }

  plan() {
    if (!this.planned) {
      this.planned = requestAnimationFrame(() => {
        this.planned = 0;
        this.draw();
      });
    }
  }

  draw() {
    const at = this.element.scrollTop;
    const top = at / this.share;
    const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - BEYOND);
    const last = Math.min(this.rows.length, Math.ceil((top + this.element.clientHeight) / ROW_HEIGHT) + BEYOND);
    for (const [place, card] of this.cards) {
      if (place < first || place >= last) {
        this.retire(card);
        this.cards.delete(place);
      }
    }
    for (let place = first; place < last; place++) {
      let card = this.cards.get(place);
      if (!card) {
        card = this.spare.pop() || this.made();
        card.dataset.place = String(place);
        card.id = `label-${place}`;
        card.hidden = false;
        this.cards.set(place, card);
        this.fill(card);
        this.paint(card);
      }
      card.style.transform = `translateY(${at + place * ROW_HEIGHT - top}px)`;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.askForPictures(), QUIET_MS);
  }

  made() {
    const card = document.createElement("div");
    card.className = "card";
    card.setAttribute("role", "option");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    const words = document.createElement("div");
    words.className = "words";
    for (const name of ["name", "about", "mark"]) {
      const line = document.createElement(name === "name" ? "bdi" : "span");
      line.className = name;
      words.append(line);
    }
    card.append(canvas, words);
    this.space.append(card);
    return card;
  }

  retire(card) {
    card.hidden = true;
    card.id = "";
    this.spare.push(card);
  }

  fill(card) {
    const { labels, decisions } = this.state;
    const place = Number(card.dataset.place);
    const row = this.rows[place];
    const verdict = NAMES[decisions.verdict(row)];
    const swapped = decisions.swapped(row);
    const [name, about, mark] = card.lastChild.children;
    name.textContent = shortened(labels.nameOf(row), 42);
    about.textContent = aboutOf(labels, row);
    mark.textContent = [verdict, swapped ? "swapped" : ""].filter(Boolean).join(", ");
    card.dataset.verdict = verdict;
    card.setAttribute("aria-selected", String(place === this.current));
    card.setAttribute("aria-setsize", String(this.rows.length));
    card.setAttribute("aria-posinset", String(place + 1));
    const said = [name.textContent, about.textContent, mark.textContent || "undecided"];
    card.setAttribute("aria-label", said.join(", "));
  }

  paint(card) {
    const { labels, decisions, pictures, colours } = this.state;
    const row = this.rows[Number(card.dataset.place)];
    const entry = pictures.images.get(row);
    const image = entry && entry.ready ? entry.image : null;
    card.dataset.waits = String(!image && pictures.hopeful(row));
    const options = { thumbnail: THUMBNAIL, swapped: decisions.mirrored(row) };
    drawPhotograph(card.firstChild, labels, row, image, colours, options);
  }

  askForPictures() {
    for (const [place, card] of this.cards) {
      if (card.dataset.waits !== "true") continue;
      card.dataset.waits = "false";
      const row = this.rows[place];
      const paint = () => {
        if (this.cards.get(place) === card && this.rows[place] === row) this.paint(card);
      };
      if (this.state.pictures.get(row, paint)) paint();
    }
  }
}

/** Quality, frame and person of a row in a few words; the reason where there is no label. */
export function aboutOf(labels, row) {
  const words = [];
  const reason = labels.reasonOf(row);
  words.push(reason ? shortened(reason, 40) : `quality ${shownNumber(labels.quality[row], 2)}`);
  if (labels.frame[row] >= 0) words.push(`frame ${labels.frame[row]}`);
  if (labels.person[row] > 0) words.push(`person ${labels.person[row]}`);
  return words.join(" · ");
}
