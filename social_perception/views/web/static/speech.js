// What changes, in words for a screen reader: at most one sentence every few seconds.

import { setText } from "./dom.js";
import { groupWords, people, trendWord } from "./words.js";

const PERIOD_S = 4;
/** More names than this are counted instead. */
const MOST_NAMES = 3;
/** A level must last this long before it is spoken of. */
const STEADY_S = 1.5;

export class Speech {
  constructor(element) {
    this.element = element;
    this.known = null;
    this.group = null;
    this.mood = "";
    this.candidate = { mood: "", since: 0 };
    this.present = new Set();
    this.link = "";
    this.spokenLink = "";
    this.spoken = -Infinity;
    this.timer = setInterval(() => this.#speak(), 500);
  }

  /** Takes what the page shows now; the next sentence is made of the difference to the last one. */
  update(faces, group) {
    this.present = new Set(faces.filter((face) => face.visible).map((face) => face.id));
    this.group = group;
    const mood = group === null ? "" : `${group.size ? "" : "nobody"} ${group.level} ${trendMood(group)}`;
    if (mood !== this.candidate.mood) this.candidate = { mood, since: performance.now() };
  }

  /** Takes the state of the connection in words; the empty text is a good one. */
  setLink(words) {
    this.link = words;
  }

  #speak() {
    const now = performance.now();
    if (document.hidden || now - this.spoken < 1000 * PERIOD_S) return;
    const sentences = this.link === "" ? this.#news(now) : [];
    if (this.link !== this.spokenLink) {
      sentences.unshift(this.link || "Live again.");
      this.spokenLink = this.link;
    }
    if (sentences.length === 0) return;
    this.spoken = now;
    setText(this.element, sentences.join(" "));
  }

  #news(now) {
    if (this.group === null) return [];
    const first = this.known === null;
    const known = this.known ?? new Set();
    const joined = [...this.present].filter((id) => !known.has(id));
    const left = [...known].filter((id) => !this.present.has(id));
    const steady = now - this.candidate.since >= 1000 * STEADY_S;
    const moved = steady && this.candidate.mood !== this.mood;
    if (!joined.length && !left.length && !moved && !first) return [];
    this.known = this.present;
    // The mood is part of every sentence: it is no news for the next one.
    this.mood = this.candidate.mood;
    return [...moves(joined, "joined"), ...moves(left, "left"), groupWords(this.group)];
  }
}

/** A trend is spoken of when it turns up or down, not when it ends. */
function trendMood(group) {
  const word = trendWord(group.trend);
  return word === "rising" || word === "falling" ? word : "";
}

function moves(ids, verb) {
  if (ids.length === 0) return [];
  if (ids.length > MOST_NAMES) return [`${people(ids.length)} ${verb}.`];
  return [`${ids.length === 1 ? "Person" : "Persons"} ${ids.join(", ")} ${verb}.`];
}
