// Everybody in view as a table, and the stage in words: the same for those who do not see it.

import { html, setText } from "./dom.js";
import { byId, faceWords, groupWords, levelName, levelWord, placeWord, twoDigits } from "./words.js";

/** In a description, more people than this are counted only; the table has them all. */
const MOST_DESCRIBED = 12;

export class PeopleTable {
  constructor(body, empty, count, summary, mark) {
    Object.assign(this, { body, empty, count, summary, mark });
    this.rows = new Map();
  }

  update(faces, group, mirrored) {
    const sorted = faces.slice().sort(byId);
    const present = new Set(sorted.map((face) => face.id));
    for (const [id, row] of this.rows) {
      if (present.has(id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
    let before = null;
    for (const face of sorted) {
      const row = this.#row(face.id);
      const place = before === null ? this.body.firstChild : before.nextSibling;
      if (place !== row.element) this.body.insertBefore(row.element, place);
      row.update(face, mirrored);
      before = row.element;
    }
    this.empty.hidden = sorted.length > 0;
    setText(this.count, String(sorted.length));
    setText(this.summary, stageWords(sorted, group, mirrored));
  }

  #row(id) {
    if (!this.rows.has(id)) this.rows.set(id, new Row(id, this.mark(id)));
    return this.rows.get(id);
  }
}

class Row {
  constructor(id, mark) {
    const name = html("span", { class: "row-id" });
    setText(name, id);
    this.level = html("td", { class: "row-level" });
    this.number = html("span", { class: "row-number" });
    this.bar = html("span", { class: "bar-fill" });
    const bar = html("span", { class: "bar", "aria-hidden": "true" }, this.bar);
    this.place = html("td", {});
    const head = html("th", { scope: "row" }, mark, name);
    this.element = html("tr", {}, head, this.level, html("td", { class: "row-intensity" }, this.number, bar), this.place);
  }

  update(face, mirrored) {
    this.element.dataset.level = levelName(face.level);
    const quiet = !face.visible || face.intensity === null;
    setText(this.level, quiet ? faceWords(face) : levelWord(face.level));
    setText(this.number, twoDigits(face.intensity));
    this.bar.style.setProperty("width", `${100 * (face.intensity ?? 0)}%`);
    setText(this.place, placeWord(mirrored ? 1 - face.x : face.x));
  }
}

function stageWords(faces, group, mirrored) {
  if (faces.length === 0) return "Nobody in view.";
  const view = mirrored ? "as in a mirror" : "as the camera sees them";
  const named = faces.slice(0, faces.length > MOST_DESCRIBED ? 0 : faces.length);
  const each = named.map(
    (face) => `${face.id}: ${faceWords(face)}, ${placeWord(mirrored ? 1 - face.x : face.x)}`,
  );
  return [`${groupWords(group)} People ${view}`, ...each].join("; ") + ".";
}
