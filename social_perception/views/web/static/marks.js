// A colour and a dash for each person, the same on the stage, in the chart and in the table.

import { html, svg } from "./dom.js";

const COLORS = 8;
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];

/** How many people are remembered; the first is forgotten first. */
const MAX_PEOPLE = 2000;

const numbers = new Map();
let next = 0;

function numberOf(id) {
  if (!numbers.has(id)) {
    if (numbers.size >= MAX_PEOPLE) numbers.delete(numbers.keys().next().value);
    numbers.set(id, next);
    next += 1;
  }
  return numbers.get(id);
}

/** The style of a person's line: a colour's number and a dash; neighbours differ in both. */
export function lineOf(id) {
  const number = numberOf(id);
  return { color: number % COLORS, dash: DASHES[(number + Math.floor(number / COLORS)) % DASHES.length] };
}

/** A short piece of a person's line. */
export function markOf(id) {
  const { color, dash } = lineOf(id);
  const line = svg("line", { x1: 1, y1: 5, x2: 23, y2: 5, "stroke-dasharray": dash.join(" ") });
  const sample = svg("svg", { viewBox: "0 0 24 10", focusable: "false" }, line);
  return html("span", { class: "mark", "data-color": color, "aria-hidden": "true" }, sample);
}
