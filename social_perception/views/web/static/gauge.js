// The group's gauge: a half circle with a band for each level, a needle, and the values below.

import { approach, byName, html, reducedMotion, setAttribute, setText, svg } from "./dom.js";
import { LEVEL_LABELS, levelName, levelText, NOT_KNOWN, percent, signed, trendText, twoDigits, UNKNOWN } from "./text.js";

/** Levels are the nearest thirds: their borders lie halfway between. */
const BORDERS = [0, 1 / 6, 1 / 2, 5 / 6, 1];
const RADIUS = 84;
const NEEDLE_S = 0.2;
/** A change of this much per second is drawn as an arrow of 45 degrees. */
const DIAGONAL_TREND = 0.08;
const GAP = 0.006;

function onCircle(share, radius) {
  const angle = Math.PI * (1 - share);
  return `${(radius * Math.cos(angle)).toFixed(2)} ${(-radius * Math.sin(angle)).toFixed(2)}`;
}

function band(level) {
  const from = BORDERS[level] + (level > 0 ? GAP : 0);
  const to = BORDERS[level + 1] - (level < 3 ? GAP : 0);
  const [outer, inner] = [RADIUS + 9, RADIUS - 9];
  return svg("path", {
    class: "band",
    "data-level": levelName(level),
    d:
      `M${onCircle(from, outer)}A${outer} ${outer} 0 0 1 ${onCircle(to, outer)}` +
      `L${onCircle(to, inner)}A${inner} ${inner} 0 0 0 ${onCircle(from, inner)}Z`,
  });
}

export class Gauge {
  constructor(element) {
    this.element = element;
    this.needle = svg("path", { class: "needle", d: "M-64 0L-8 -5L-8 5Z" });
    this.pivot = svg("g", {}, this.needle, svg("circle", { class: "needle", r: 9 }));
    element.append(
      svg(
        "svg",
        { viewBox: "-100 -98 200 112", "aria-hidden": "true", focusable: "false" },
        ...LEVEL_LABELS.map((_, level) => band(level)),
        this.pivot,
      ),
    );
    this.further = [];
    this.target = null;
    this.shown = 0;
    this.request = 0;
    this.last = 0;
  }

  /** Makes an entry for each further value of the group and the scene, hidden until the value is known. */
  setFields(fields) {
    for (const { element } of this.further) element.remove();
    this.further = fields.map(({ key, label }) => {
      const [name, value] = [html("dt"), html("dd")];
      setText(name, label);
      setText(value, UNKNOWN);
      return { element: html("div", { class: "group-further", hidden: "" }, name, value), value, key };
    });
    byName("group-figures").append(...this.further.map(({ element }) => element));
  }

  /** Shows the group of a state, or the values of its scene; null: nothing is known. */
  update(group, stale, scene = null) {
    const live = group !== null && !stale && !group.stale;
    const intensity = live ? group.intensity : null;
    const level = live && intensity !== null ? group.level : null;
    this.#figures(live ? group : null, intensity, level);
    this.#further([...((live && group.further) || []), ...((!stale && scene) || [])]);
    this.element.classList.toggle("unknown", intensity === null);
    setAttribute(this.element, "aria-valuenow", (intensity ?? 0).toFixed(2));
    const trend = intensity === null || group.trend === null ? "" : `, ${trendText(group.trend)}`;
    const text = intensity === null ? NOT_KNOWN : `${twoDigits(intensity)}, ${levelText(level)}${trend}`;
    setAttribute(this.element, "aria-valuetext", text);
    this.target = intensity ?? 0;
    this.animate();
  }

  #figures(group, intensity, level) {
    const known = (value) => (group === null ? null : value);
    setText(byName("group-number"), twoDigits(intensity));
    setText(byName("group-level"), intensity === null ? emptyText(group) : levelText(level));
    setAttribute(byName("group-level"), "data-level", levelName(level));
    const trend = intensity === null ? null : group.trend;
    setText(byName("group-trend"), trend === null ? `Trend ${NOT_KNOWN}` : `${trendText(trend)} ${signed(trend)}/s`);
    this.#arrow(trend);
    setText(byName("group-size"), group === null ? NOT_KNOWN : String(group.size));
    setText(byName("group-smiling"), percent(group?.valid ? known(group.smiling) : null));
    setText(byName("group-spread"), group?.valid && group.dispersion !== null ? twoDigits(group.dispersion) : NOT_KNOWN);
    setText(byName("group-synchrony"), signed(known(group?.synchrony ?? null)));
  }

  #further(values) {
    for (const { element, value, key } of this.further) {
      const { text, unit } = values.find((each) => each.key === key) ?? { text: UNKNOWN, unit: "" };
      if (text !== UNKNOWN) element.hidden = false;
      setText(value, text === UNKNOWN ? text : `${text} ${unit}`.trim());
    }
  }

  #arrow(trend) {
    const arrow = byName("trend-arrow");
    arrow.classList.toggle("unknown", trend === null);
    const flat = trend === null || trendText(trend) === "steady";
    const degrees = flat ? 0 : Math.max(-60, Math.min(60, (-45 * trend) / DIAGONAL_TREND));
    arrow.style.setProperty("transform", `rotate(${degrees.toFixed(0)}deg)`);
  }

  animate() {
    if (this.request || document.hidden || this.target === null) return;
    this.last = performance.now();
    this.request = requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now) {
    const elapsed = Math.min(0.1, Math.max(0.001, (now - this.last) / 1000));
    this.last = now;
    this.shown += (this.target - this.shown) * approach(elapsed, NEEDLE_S);
    const there = reducedMotion.matches || Math.abs(this.target - this.shown) < 0.001;
    if (there) this.shown = this.target;
    this.pivot.setAttribute("transform", `rotate(${(180 * this.shown).toFixed(2)})`);
    this.request = there || document.hidden ? 0 : requestAnimationFrame((next) => this.#frame(next));
  }
}

function emptyText(group) {
  return group !== null && group.size === 0 ? "Nobody in view" : "Not known";
}
