// The chart of the last minute, drawn on a canvas.

import { GAP_S, SPAN_S } from "./history.js";
import { html, setText } from "./dom.js";
import { lineOf, markOf } from "./marks.js";
import { LEVEL_LABELS, people as peopleText, twoDigits } from "./text.js";

const PERIOD_MS = 1000 / 15;
/** More lines than this are drawn in gray and have no legend. */
const MAX_NAMED = 40;
const MAX_IN_LEGEND = 10;
const MARGIN = { top: 12, right: 14, bottom: 24, left: 64 };

export class Chart {
  constructor(canvas, legend, summary, history) {
    this.canvas = canvas;
    this.legend = legend;
    this.summary = summary;
    this.history = history;
    this.context = canvas.getContext("2d");
    this.drawn = 0;
    this.legendKey = null;
    this.style = null;
    this.size = { width: 0, height: 0 };
    document.addEventListener("themechange", () => this.#restyle());
    new ResizeObserver(([entry]) => this.#resize(entry.contentRect)).observe(canvas);
  }

  #restyle() {
    this.style = null;
    this.draw(true);
  }

  #resize({ width, height }) {
    const ratio = globalThis.devicePixelRatio || 1;
    this.size = { width, height };
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.draw(true);
  }

  /** Draws the newest state, at most fifteen times a second unless forced. */
  draw(forced = false) {
    const now = performance.now();
    if (document.hidden || this.size.width === 0 || (!forced && now - this.drawn < PERIOD_MS)) return;
    this.drawn = now;
    this.style ??= readStyle(this.canvas);
    const lines = this.history.lines();
    this.#draw(lines, this.history.now());
    this.#showLegend([...lines.people.keys()]);
  }

  #draw({ people, group }, now) {
    const { context, style } = this;
    const { width, height } = this.size;
    const plot = {
      x: (t) => MARGIN.left + (width - MARGIN.left - MARGIN.right) * (1 - (now - t) / SPAN_S),
      y: (intensity) => MARGIN.top + (height - MARGIN.top - MARGIN.bottom) * (1 - intensity),
      now,
    };
    context.clearRect(0, 0, width, height);
    this.#axes(plot);
    context.save();
    context.beginPath();
    context.rect(MARGIN.left, 0, width - MARGIN.left - MARGIN.right + 4, height);
    context.clip();
    const many = people.size > MAX_NAMED;
    context.globalAlpha = many ? 0.3 : 1;
    for (const [id, points] of people) {
      const { color, dash } = lineOf(id);
      this.#line(plot, points, many ? style.muted : style.people[color], many ? 0.75 : 1.75, many ? [] : dash);
    }
    context.globalAlpha = 1;
    // An edge in the background's colour separates the group's line from those it crosses.
    this.#line(plot, group, style.surface, 7, []);
    this.#line(plot, group, style.ink, 3.5, []);
    context.restore();
  }

  #axes(plot) {
    const { context, style } = this;
    const { width, height } = this.size;
    context.font = style.font;
    context.lineWidth = 1;
    context.setLineDash([]);
    context.textBaseline = "middle";
    context.textAlign = "right";
    LEVEL_LABELS.forEach((word, level) => {
      const y = Math.round(plot.y(level / 3)) + 0.5;
      this.#rule(MARGIN.left, y, width - MARGIN.right, y);
      context.fillStyle = style.muted;
      context.fillText(word, MARGIN.left - 8, y);
    });
    context.textBaseline = "alphabetic";
    for (const seconds of width < 420 ? [60, 30, 0] : [60, 45, 30, 15, 0]) {
      const x = Math.round(plot.x(plot.now - seconds)) + 0.5;
      this.#rule(x, height - MARGIN.bottom, x, height - MARGIN.bottom + 4);
      context.textAlign = seconds === 60 ? "left" : seconds === 0 ? "right" : "center";
      context.fillText(seconds === 0 ? "now" : `−${seconds} s`, x, height - 6);
    }
  }

  #rule(x1, y1, x2, y2) {
    this.context.strokeStyle = this.style.line;
    this.context.beginPath();
    this.context.moveTo(x1, y1);
    this.context.lineTo(x2, y2);
    this.context.stroke();
  }

  #line(plot, points, color, width, dash) {
    const { context } = this;
    context.strokeStyle = color;
    context.lineWidth = width;
    context.lineJoin = context.lineCap = "round";
    context.setLineDash(dash);
    context.beginPath();
    let before = -Infinity;
    for (const [t, intensity] of points) {
      const [x, y] = [plot.x(t), plot.y(intensity)];
      if (t - before > GAP_S) context.moveTo(x, y);
      context.lineTo(x, y);
      before = t;
    }
    context.stroke();
  }

  /** Updates the legend, which changes only when somebody comes or goes. */
  #showLegend(ids) {
    const key = JSON.stringify(ids);
    if (key === this.legendKey) return;
    this.legendKey = key;
    const shown = ids.length > MAX_NAMED ? [] : ids.slice(0, MAX_IN_LEGEND);
    const entries = shown.map((id) => {
      const name = html("span", { class: "legend-name" });
      setText(name, id);
      return html("li", {}, markOf(id), name);
    });
    const rest = ids.length - shown.length;
    if (rest > 0) entries.push(html("li", { class: "legend-rest" }, shown.length ? `and ${rest} more` : peopleText(rest)));
    const group = html("li", {}, html("span", { class: "mark mark-group", "aria-hidden": "true" }), "Group");
    this.legend.replaceChildren(group, ...entries);
  }

  /** Updates the description of the chart for screen readers. */
  describe() {
    const { people, group } = this.history.lines();
    setText(this.summary, chartText(people, group));
  }
}

function chartText(people, group) {
  if (group.length === 0) return "The chart of the last minute is empty: the group's smile intensity is not known.";
  const values = group.map(([, intensity]) => intensity);
  const seconds = Math.round(group.at(-1)[0] - group[0][0]);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return (
    `In the last ${seconds} seconds the group's smile intensity went from ${twoDigits(values[0])} ` +
    `to ${twoDigits(values.at(-1))}, between ${twoDigits(least)} and ${twoDigits(most)}; ` +
    `${peopleText(people.size)} seen.`
  );
}

function readStyle(element) {
  const style = getComputedStyle(element);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    font: `12px ${style.fontFamily}`,
    ink: read("--ink"),
    muted: read("--muted"),
    line: read("--line"),
    surface: read("--surface"),
    people: Array.from({ length: 8 }, (_, number) => read(`--person-${number}`)),
  };
}
