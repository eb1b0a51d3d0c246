// The stage: every person as an emoji at their position in the camera's image.

import { approach, html, reducedMotion, setText } from "./dom.js";
import { Emoji } from "./emoji.js";
import { furtherText, levelName, twoDigits } from "./text.js";

/** More people than this are shown smaller and without captions. */
const MANY = 40;
/** More people than this have no further values in their captions, which would cover other faces. */
const SEVERAL = 4;

const MOVE_S = 0.12;
const FADE_S = 0.15;
const MIN_PX = 44;
const MIN_OF_MANY_PX = 16;
const MAX_SHARE = 0.42;
/** A face's box is narrower than the head. */
const HEAD_WIDTHS = 1.3;
/** On the camera's image the emoji is above the head, or beside it, and does not cover the face. */
const IMAGE_SCALE = 0.55;
const MAX_ON_IMAGE_PX = 72;

/** One person on the stage: the position shown now and the newest face. */
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
    this.element.dataset.voice = face.visible ? face.voice : "";
    setText(this.value, twoDigits(face.intensity));
    this.bar.style.setProperty("width", `${100 * (face.intensity ?? 0)}%`);
    this.further.hidden = face.further.length === 0;
    setText(this.further, face.further.map(furtherText).join(" "));
  }

  /**
   * The emoji's side of the head on the camera's image: 0 above it, -1 left or 1 right of it.
   *
   * It keeps its side while it fits there, or it would jump with every small motion.
   */
  sideOfHead(spaceAbove, share) {
    const enough = this.side === 0 ? 0 : 0.25 * (this.shown?.size ?? 0);
    const turned = this.side * (share - 0.5) > 0.15;
    if (spaceAbove >= enough) this.side = 0;
    else if (this.side === 0 || turned) this.side = share < 0.5 ? 1 : -1;
    return this.side;
  }

  /** Moves a step towards the target; false once it is there. */
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
    // On whole pixels of the screen: text between pixels is blurred.
    const ratio = globalThis.devicePixelRatio || 1;
    const [left, top] = [Math.round(x * ratio) / ratio, Math.round(y * ratio) / ratio];
    style.setProperty("transform", `translate(${left}px, ${top}px)`);
    style.setProperty("--size", `${size.toFixed(1)}px`);
    style.setProperty("opacity", opacity.toFixed(2));
    // Near people are in front.
    style.setProperty("z-index", String(Math.round(size)));
    this.emoji.show(this.face.intensity === null ? null : smile, this.face.level);
  }
}

export class Stage {
  /**
   * @param frame the element whose area stands for the camera's image
   * @param mark makes a sample of a person's line in the chart
   */
  constructor(frame, mark) {
    this.frame = frame;
    this.mark = mark;
    this.people = new Map();
    this.mirrored = true;
    this.withImage = false;
    this.aspect = 16 / 9;
    this.request = 0;
    this.last = 0;
    this.area = { width: 0, height: 0 };
    new ResizeObserver(([entry]) => {
      this.area = { width: entry.contentRect.width, height: entry.contentRect.height };
      this.animate();
    }).observe(frame);
  }

  /** Shows the faces of a state; whoever is not among them leaves. */
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

  setImage(on) {
    this.withImage = on;
    this.frame.classList.toggle("with-image", on);
    this.animate();
  }

  /** Starts the animation unless it runs; it ends when everybody is at their target. */
  animate() {
    if (this.request || document.hidden || this.area.width === 0) return;
    this.last = performance.now();
    this.request = requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now) {
    this.request = 0;
    // After a pause, for example of a hidden page, people glide instead of jumping.
    const elapsed = Math.min(0.1, Math.max(0.001, (now - this.last) / 1000));
    this.last = now;
    let moving = false;
    // All sizes are read before anything moves, so that the browser computes the layout once.
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

  /** A person's position in px of the stage, with their caption inside it. */
  #target(person) {
    const { face } = person;
    const { width, height } = this.area;
    const imagePx = Math.min(width, height * this.aspect);
    const headPx = face.size * imagePx;
    const minPx = this.isMany ? MIN_OF_MANY_PX : MIN_PX;
    const maxPx = this.withImage ? MAX_ON_IMAGE_PX : MAX_SHARE * height;
    const size = Math.min(maxPx, Math.max(minPx, headPx * (this.withImage ? IMAGE_SCALE : HEAD_WIDTHS)));
    const captionPx = this.isMany ? 0 : person.caption.offsetHeight + 4;
    const halfWidth = Math.max(size, this.isMany ? 0 : person.caption.offsetWidth) / 2 + 4;
    let [x, y] = [(this.mirrored ? 1 - face.x : face.x) * width, face.y * height];
    if (this.withImage) {
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

/** A value within limits; where the stage is smaller than the person, the middle. */
function clamp(value, low, high) {
  return low > high ? (low + high) / 2 : Math.min(high, Math.max(low, value));
}
