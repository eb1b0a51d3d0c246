// The stage: every person as a face at the place where the camera sees them.

import { approach, html, reducedMotion, setText } from "./dom.js";
import { Emoji } from "./emoji.js";
import { furtherWords, levelName, twoDigits } from "./words.js";

/** More people than this are shown smaller and without captions. */
const MANY = 40;
/** More people than this have no further values in their captions, which would cover other faces. */
const SEVERAL = 4;

const MOVE_S = 0.12;
const FADE_S = 0.15;
const LEAST_PX = 44;
const LEAST_OF_MANY_PX = 16;
const LARGEST_SHARE = 0.42;
/** A face's box is narrower than the head. */
const HEAD_WIDTHS = 1.3;
/** On a picture the emoji stands above the head, or beside it, and leaves the face free. */
const PICTURE_SCALE = 0.55;
const LARGEST_ON_PICTURE_PX = 72;

/** One person on the stage: where it is shown now, and where it should be. */
class Person {
  constructor(id, mark) {
    this.emoji = new Emoji();
    this.name = html("span", { class: "person-id" });
    this.value = html("span", { class: "person-value" });
    this.bar = html("span", { class: "bar-fill" });
    setText(this.name, id);
    const line = html("span", { class: "person-line" }, mark, this.name, this.value);
    this.further = html("span", { class: "person-further", hidden: "" });
    const bar = html("span", { class: "bar" }, this.bar);
    this.caption = html("span", { class: "caption" }, line, bar, this.further);
    this.element = html("div", { class: "person" }, this.emoji.element, this.caption);
    this.element.dataset.id = id;
    this.shown = null;
    this.face = null;
    this.leaving = false;
    this.side = 0;
  }

  update(face) {
    this.face = face;
    this.leaving = false;
    this.element.dataset.level = levelName(face.level);
    this.element.dataset.visible = String(face.visible);
    setText(this.value, twoDigits(face.intensity));
    this.bar.style.setProperty("width", `${100 * (face.intensity ?? 0)}%`);
    this.further.hidden = face.further.length === 0;
    setText(this.further, face.further.map(furtherWords).join(" "));
  }

  /**
   * Where the emoji stands on a picture: 0 above the head, else beside it, -1 left or 1 right.
   *
   * It stays where it is while that will do, or it would hop with every small motion.
   */
  sideOfHead(roomAbove, share) {
    const enough = this.side === 0 ? 0 : 0.25 * (this.shown?.size ?? 0);
    const turned = this.side * (share - 0.5) > 0.15;
    if (roomAbove >= enough) this.side = 0;
    else if (this.side === 0 || turned) this.side = share < 0.5 ? 1 : -1;
    return this.side;
  }

  /** Goes a step towards the target; false once it is there. */
  step(target, elapsed) {
    const shown = this.shown ?? { ...target, opacity: reducedMotion.matches ? target.opacity : 0 };
    const move = this.shown === null ? 1 : approach(elapsed, MOVE_S);
    const fade = approach(elapsed, FADE_S);
    const next = {
      x: shown.x + (target.x - shown.x) * move,
      y: shown.y + (target.y - shown.y) * move,
      size: shown.size + (target.size - shown.size) * move,
      smile: shown.smile + (target.smile - shown.smile) * move,
      opacity: shown.opacity + (target.opacity - shown.opacity) * fade,
    };
    const settled =
      Math.abs(target.x - next.x) < 0.2 &&
      Math.abs(target.y - next.y) < 0.2 &&
      Math.abs(target.size - next.size) < 0.2 &&
      Math.abs(target.smile - next.smile) < 0.004 &&
      Math.abs(target.opacity - next.opacity) < 0.01;
    this.shown = settled ? { ...target } : next;
    this.#draw();
    return !settled;
  }

  #draw() {
    const { x, y, size, smile, opacity } = this.shown;
    const style = this.element.style;
    // On whole pixels of the screen: text between them is blurred.
    const ratio = globalThis.devicePixelRatio || 1;
    const [left, top] = [Math.round(x * ratio) / ratio, Math.round(y * ratio) / ratio];
    style.setProperty("transform", `translate(${left}px, ${top}px)`);
    style.setProperty("--size", `${size.toFixed(1)}px`);
    style.setProperty("opacity", opacity.toFixed(2));
    // Who is nearer stands in front.
    style.setProperty("z-index", String(Math.round(size)));
    this.emoji.show(this.face.intensity === null ? null : smile, this.face.level);
  }
}

export class Stage {
  /**
   * @param frame the element whose area stands for the camera's picture
   * @param mark makes the element that links a person's id to their line in the chart
   */
  constructor(frame, mark) {
    this.frame = frame;
    this.mark = mark;
    this.people = new Map();
    this.mirrored = true;
    this.withPicture = false;
    this.aspect = 16 / 9;
    this.request = 0;
    this.last = 0;
    this.area = { width: 0, height: 0 };
    new ResizeObserver(([entry]) => {
      this.area = { width: entry.contentRect.width, height: entry.contentRect.height };
      this.animate();
    }).observe(frame);
  }

  /** Takes the faces of a state; whoever is not among them leaves. */
  update(faces, aspect) {
    this.aspect = aspect;
    this.frame.style.setProperty("--aspect", String(aspect));
    for (const person of this.people.values()) person.leaving = true;
    for (const face of faces) this.#person(face.id).update(face);
    this.isMany = faces.length > MANY;
    this.frame.classList.toggle("many", this.isMany);
    this.frame.classList.toggle("several", faces.length > SEVERAL);
    this.animate();
  }

  #person(id) {
    const known = this.people.get(id);
    if (known) return known;
    const person = new Person(id, this.mark(id));
    this.people.set(id, person);
    this.frame.append(person.element);
    return person;
  }

  setMirrored(mirrored) {
    this.mirrored = mirrored;
    this.animate();
  }

  setPicture(on) {
    this.withPicture = on;
    this.frame.classList.toggle("with-picture", on);
    this.animate();
  }

  /** Starts the animation unless it runs; it ends by itself when all is where it should be. */
  animate() {
    if (this.request || document.hidden || this.area.width === 0) return;
    this.last = performance.now();
    this.request = requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now) {
    this.request = 0;
    // A long pause is no motion: whoever comes back to the page sees people glide, not fly.
    const elapsed = Math.min(0.1, Math.max(0.001, (now - this.last) / 1000));
    this.last = now;
    let moving = false;
    // All sizes are read before anything is moved, so that the browser lays the page out once.
    const targets = [...this.people].map(([id, person]) => [id, person, this.#target(person)]);
    for (const [id, person, target] of targets) {
      moving = person.step(target, elapsed) || moving;
      if (person.leaving && person.shown.opacity === 0) {
        person.element.remove();
        this.people.delete(id);
      }
    }
    if (moving && !document.hidden) this.request = requestAnimationFrame((next) => this.#frame(next));
  }

  /** Where a person belongs, in px of the stage, kept inside with its caption. */
  #target(person) {
    const { face } = person;
    const { width, height } = this.area;
    const seen = Math.min(width, height * this.aspect);
    const headPx = face.size * seen;
    const least = this.isMany ? LEAST_OF_MANY_PX : LEAST_PX;
    const wanted = headPx * (this.withPicture ? PICTURE_SCALE : HEAD_WIDTHS);
    const largest = this.withPicture ? LARGEST_ON_PICTURE_PX : LARGEST_SHARE * height;
    const size = Math.min(largest, Math.max(least, wanted));
    const captionPx = this.isMany ? 0 : person.caption.offsetHeight + 4;
    const halfWidth = Math.max(size, this.isMany ? 0 : person.caption.offsetWidth) / 2 + 4;
    let [x, y] = [(this.mirrored ? 1 - face.x : face.x) * width, face.y * height];
    if (this.withPicture) {
      const above = y - headPx * 0.65 - captionPx - size / 2;
      const side = person.sideOfHead(above - size / 2, x / width);
      if (side === 0) y = above;
      else x += side * (headPx * 0.6 + halfWidth);
    }
    return {
      x: clamp(x, halfWidth, width - halfWidth),
      y: clamp(y, size / 2 + 4, height - size / 2 - captionPx - 2),
      size,
      smile: face.intensity ?? 0,
      opacity: person.leaving ? 0 : 1,
    };
  }
}

/** In a stage smaller than the person, the middle. */
function clamp(value, low, high) {
  return low > high ? (low + high) / 2 : Math.min(high, Math.max(low, value));
}
