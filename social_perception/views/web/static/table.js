// Everybody in view as a table, and a description of the stage for screen readers.

import { html, setText } from "./dom.js";
import { byId, faceText, furtherText, groupText, levelName, levelText, placeText, twoDigits } from "./text.js";

/** A description of more people than this only counts them; the table has them all. */
const MAX_DESCRIBED = 12;

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
      row.remove();
      this.rows.delete(id);
    }
    let next = this.body.firstChild;
    for (const face of sorted) {
      const row = this.#row(face.id);
      row.update(face, mirrored);
      for (const element of row.elements) {
        if (next === element) next = next.nextSibling;
        else this.body.insertBefore(element, next);
      }
    }
    this.empty.hidden = sorted.length > 0;
    setText(this.count, String(sorted.length));
    setText(this.summary, stageText(sorted, group, mirrored));
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
    const intensity = html("td", { class: "row-intensity" }, this.number, bar);
    this.element = html("tr", {}, head, this.level, intensity, this.place);
    this.further = html("td", { colspan: this.element.cells.length });
    this.furtherElement = html("tr", { class: "further" }, this.further);
    this.elements = [this.element];
  }

  remove() {
    for (const element of this.elements) element.remove();
  }

  update(face, mirrored) {
    this.element.dataset.level = levelName(face.level);
    const isUnknown = !face.visible || face.intensity === null;
    setText(this.level, isUnknown ? faceText(face) : levelText(face.level));
    setText(this.number, twoDigits(face.intensity));
    this.bar.style.setProperty("width", `${100 * (face.intensity ?? 0)}%`);
    setText(this.place, placeText(mirrored ? 1 - face.x : face.x));
    setText(this.further, face.further.map(furtherText).join(", "));
    if (face.further.length > 0) this.elements = [this.element, this.furtherElement];
  }
}

function stageText(faces, group, mirrored) {
  if (faces.length === 0) return "Nobody in view.";
  const view = mirrored ? "mirrored" : "as the camera sees them";
  const named = faces.slice(0, faces.length > MAX_DESCRIBED ? 0 : faces.length);
  const each = named.map(
    (face) => `${face.id}: ${[faceText(face), ...face.further.map(furtherText), placeText(mirrored ? 1 - face.x : face.x)].join(", ")}`,
  );
  return [`${groupText(group)} People ${view}`, ...each].join("; ") + ".";
}
