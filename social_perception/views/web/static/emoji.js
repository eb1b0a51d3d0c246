// A face drawn from a number: all of it changes continuously with the smile intensity.
//
// A smile is the lip corners going up and out (zygomaticus major, AU12) and, when it is strong, the
// cheeks going up and narrowing the eyes from below (orbicularis oculi, AU6).

import { setAttribute, svg } from "./dom.js";
import { levelName } from "./text.js";

const EYE_X = 16.5;
const EYE_Y = -11;
const MOUTH_Y = 13;

const mix = (from, to, share) => from + (to - from) * share;

/** 0 below `from`, 1 above `to`, smooth in between. */
function ramp(value, from, to) {
  const share = Math.min(1, Math.max(0, (value - from) / (to - from)));
  return share * share * (3 - 2 * share);
}

const join = (...parts) => parts.map((part) => (typeof part === "number" ? part.toFixed(1) : part)).join(" ");

/** An eye: an ellipse whose lower lid rises above its centre as the smile grows. */
function eyePath(x, intensity) {
  const squint = ramp(intensity, 0.5, 0.9);
  const width = mix(5.6, 7.6, squint);
  const upper = mix(9.6, 10, squint);
  const lower = mix(9.6, -5.2, squint);
  const [left, right] = [x - width, x + width];
  const y = EYE_Y + mix(0, 4, squint);
  return join(
    "M", left, y, "C", left, y - upper, right, y - upper, right, y,
    "C", right, y + lower, left, y + lower, left, y, "Z",
  );
}

/** The numbers of a mouth: half width, height of the corners, pull of the upper and the lower lip. */
function mouth(intensity) {
  const open = ramp(intensity, 0.5, 1);
  return {
    half: mix(14, 25, ramp(intensity, 0, 0.9)),
    y: MOUTH_Y + mix(2, -5, ramp(intensity, 0, 1)),
    upper: mix(mix(-1, 24, Math.min(1, intensity / 0.7)), 9, open),
    lower: mix(mix(-1, 24, Math.min(1, intensity / 0.7)), 45, open),
    open,
  };
}

function mouthPath({ half, y, upper, lower }) {
  return join("M", -half, y, "Q", 0, y + upper, half, y, "Q", 0, y + lower, -half, y, "Z");
}

/** The upper teeth: a band under the upper lip, from a tenth to nine tenths of its length. */
function teethPath({ half, y, upper, lower }) {
  const at = (share) => 2 * share * (1 - share);
  const edge = half * 0.8;
  const top = y + upper * at(0.1);
  const middle = y + upper * (2 * at(0.5) - at(0.1));
  const depth = (lower - upper) * 0.2;
  return join("M", -edge, top, "Q", 0, middle, edge, top, "Q", 0, middle + 2 * depth, -edge, top, "Z");
}

/** One face as an SVG element, hidden from screen readers. */
export class Emoji {
  constructor() {
    const eyes = [svg("path", { class: "eye" }), svg("path", { class: "eye" })];
    this.eyes = eyes;
    this.cheeks = svg("g", { class: "cheeks" }, cheek(-30), cheek(30));
    this.mouth = svg("path", { class: "mouth" });
    this.teeth = svg("path", { class: "teeth" });
    this.features = svg("g", {}, this.cheeks, ...eyes, this.mouth, this.teeth);
    this.dots = svg("g", { class: "dots" }, ...[-13, 0, 13].map((cx) => svg("circle", { cx, cy: 15, r: 4 })));
    this.element = svg(
      "svg",
      { class: "emoji", viewBox: "-50 -50 100 100", "aria-hidden": "true", focusable: "false" },
      svg("circle", { class: "ring-edge", r: 45.5 }),
      svg("circle", { class: "ring", r: 45.5 }),
      svg("circle", { class: "skin", r: 38 }),
      this.features,
      this.dots,
    );
    this.drawn = null;
    this.show(null, null);
  }

  /** Draws an intensity in [0, 1]; null: unknown. */
  show(intensity, level) {
    setAttribute(this.element, "data-level", levelName(level));
    const step = intensity === null ? null : Math.round(200 * intensity);
    if (this.drawn === step && this.drawn !== null) return;
    this.drawn = step;
    setAttribute(this.element, "data-known", String(intensity !== null));
    this.#draw(intensity ?? 0);
  }

  #draw(intensity) {
    const shape = mouth(intensity);
    this.eyes[0].setAttribute("d", eyePath(-EYE_X, intensity));
    this.eyes[1].setAttribute("d", eyePath(EYE_X, intensity));
    this.mouth.setAttribute("d", mouthPath(shape));
    this.teeth.setAttribute("d", teethPath(shape));
    this.teeth.setAttribute("opacity", ramp(shape.open, 0.05, 0.2).toFixed(2));
    this.cheeks.setAttribute("opacity", ramp(intensity, 0.5, 0.95).toFixed(2));
  }
}

function cheek(cx) {
  return svg("ellipse", { cx, cy: 7, rx: 7.5, ry: 5.5 });
}
