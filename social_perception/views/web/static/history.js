// The last minute of everybody's and the group's smile intensity, at most five samples a second.

export const SPAN_S = 60;
const PERIOD_S = 0.2;
/** Between samples further apart than this a line has a gap. */
export const GAP_S = 1.0;

export class History {
  constructor() {
    this.samples = [];
    this.newest = null;
    this.receivedMs = 0;
  }

  /** Starts again with the samples of a hello. */
  reset(samples) {
    this.samples = samples.slice().sort((one, other) => one.t - other.t);
    this.newest = this.samples.at(-1) ?? null;
    this.receivedMs = performance.now();
    this.#dropOld();
  }

  /** Adds a state; a stamp that jumps back starts another stream. */
  add({ t, stale, faces, group }) {
    if (t === null) return;
    if (this.newest !== null && t < this.newest.t - 1) this.reset([]);
    if (this.newest !== null && t <= this.newest.t) return;
    const known = stale ? [] : faces.filter((face) => face.visible && face.intensity !== null);
    this.newest = {
      t,
      group: stale || group === null || group.stale ? null : group.intensity,
      people: new Map(known.map((face) => [face.id, face.intensity])),
    };
    this.receivedMs = performance.now();
    const last = this.samples.at(-1);
    if (last === undefined || t - last.t >= PERIOD_S - 0.01) this.samples.push(this.newest);
    this.#dropOld();
  }

  /** The stream's current time: it continues while no message arrives. */
  now() {
    return this.newest === null ? 0 : this.newest.t + (performance.now() - this.receivedMs) / 1000;
  }

  /** The samples up to the newest, oldest first. */
  all() {
    const last = this.samples.at(-1);
    return last === this.newest || this.newest === null ? this.samples : [...this.samples, this.newest];
  }

  #dropOld() {
    if (this.newest === null) return;
    const oldest = this.newest.t - SPAN_S - GAP_S;
    let count = 0;
    while (count < this.samples.length && this.samples[count].t < oldest) count += 1;
    this.samples.splice(0, count);
  }

  /** Everybody's line, [[t, intensity], ...] by id, and the group's. */
  lines() {
    const people = new Map();
    const group = [];
    for (const sample of this.all()) {
      if (sample.group !== null) group.push([sample.t, sample.group]);
      for (const [id, intensity] of sample.people) {
        if (!people.has(id)) people.set(id, []);
        people.get(id).push([sample.t, intensity]);
      }
    }
    return { people, group };
  }
}
