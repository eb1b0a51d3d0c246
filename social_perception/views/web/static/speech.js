// Announcements of changes for screen readers: at most one every few seconds.

import { setText } from "./dom.js";
import { groupText, people, trendText } from "./text.js";

const PERIOD_S = 4;
/** More people than this are counted instead of named. */
const MAX_NAMES = 3;
/** A level must last this long before it is announced. */
const STEADY_S = 1.5;

export class Speech {
  constructor(element) {
    this.element = element;
    this.known = null;
    this.group = null;
    this.summary = "";
    this.candidate = { summary: "", since: 0 };
    this.present = new Set();
    this.link = "";
    this.spokenLink = "";
    this.spoken = -Infinity;
    this.timer = setInterval(() => this.#speak(), 500);
  }

  /** Sets the current state; the next announcement is its difference to the last one. */
  update(faces, group) {
    this.present = new Set(faces.filter((face) => face.visible).map((face) => face.id));
    this.group = group;
    const summary = group === null ? "" : `${group.size ? "" : "nobody"} ${group.level} ${trendSummary(group)}`;
    if (summary !== this.candidate.summary) this.candidate = { summary, since: performance.now() };
  }

  /** Sets the announcement of the connection's state; empty: it is live. */
  setLink(text) {
    this.link = text;
  }

  #speak() {
    const now = performance.now();
    if (document.hidden || now - this.spoken < 1000 * PERIOD_S) return;
    const sentences = this.link === "" ? this.#changes(now) : [];
    if (this.link !== this.spokenLink) {
      sentences.unshift(this.link || "Live again.");
      this.spokenLink = this.link;
    }
    if (sentences.length === 0) return;
    this.spoken = now;
    setText(this.element, sentences.join(" "));
  }

  #changes(now) {
    if (this.group === null) return [];
    const first = this.known === null;
    const known = this.known ?? new Set();
    const joined = [...this.present].filter((id) => !known.has(id));
    const left = [...known].filter((id) => !this.present.has(id));
    const steady = now - this.candidate.since >= 1000 * STEADY_S;
    const moved = steady && this.candidate.summary !== this.summary;
    if (!joined.length && !left.length && !moved && !first) return [];
    this.known = this.present;
    // Every announcement names the level: the next one need not repeat it.
    this.summary = this.candidate.summary;
    return [...moves(joined, "joined"), ...moves(left, "left"), groupText(this.group)];
  }
}

/** A trend is announced when it turns up or down, not when it ends. */
function trendSummary(group) {
  const text = trendText(group.trend);
  return text === "rising" || text === "falling" ? text : "";
}

function moves(ids, verb) {
  if (ids.length === 0) return [];
  if (ids.length > MAX_NAMES) return [`${people(ids.length)} ${verb}.`];
  return [`${ids.length === 1 ? "Person" : "Persons"} ${ids.join(", ")} ${verb}.`];
}
