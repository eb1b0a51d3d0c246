// The server's messages, checked: one that is not valid is ignored with a warning.

import { valueText } from "./text.js";

const MAX_FACES = 1000;

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const numberOr = (value, other) => (isNumber(value) ? value : other);
const shareOrNull = (value) => (isNumber(value) ? Math.min(1, Math.max(0, value)) : null);
const textOr = (value, other) => (typeof value === "string" ? value : other);
const isLevel = (value) => Number.isInteger(value) && value >= 0 && value <= 3;

/** The values of signals that the page has no special view for, by whom they describe. */
export const NO_SIGNALS = { face: [], group: [], scene: [] };

/**
 * The message in a text frame, or null for an invalid one.
 *
 * A state's faces have an id, x, y, size (shares of the image) and intensity (0..1 or null); an invalid
 * face is dropped, and so is the second of two with one id.
 *
 * @param signals those of the connection's hello: which further values a face, the group and the scene have
 */
export function parseMessage(text, signals = NO_SIGNALS) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return ignored("not JSON", text);
  }
  if (message === null || typeof message !== "object") return ignored("not an object", text);
  if (message.type === "hello") return hello(message);
  if (message.type === "state") {
    if (message.t === null || isNumber(message.t)) return state(message, signals);
    return ignored("no time", text);
  }
  return ignored("unknown type", text);
}

function ignored(reason, part) {
  console.warn(`invalid message ignored (${reason}):`, String(part).slice(0, 200));
  return null;
}

function hello(message) {
  const samples = Array.isArray(message.history) ? message.history : [];
  return {
    type: "hello",
    version: textOr(message.version, ""),
    source: textOr(message.source, ""),
    imageAllowed: message.picture_allowed === true,
    people: message.people !== false,
    signals: {
      face: fields(message.signals?.face),
      group: fields(message.signals?.group),
      scene: fields(message.signals?.scene),
    },
    history: samples.map(sample).filter(Boolean),
  };
}

/** The declarations of further values: key in a state, label, unit and display format. */
function fields(entries) {
  const known = (Array.isArray(entries) ? entries : []).filter(
    (entry) => typeof entry?.key === "string" && typeof entry.label === "string",
  );
  return known.map(({ key, label, unit, display }) => ({
    key,
    label,
    unit: textOr(unit, ""),
    display: textOr(display, ""),
  }));
}

/** The further values of a face, the group or the scene that were estimated, as text, in the order of their declarations. */
function further(entry, declared) {
  const estimated = declared.filter(({ key }) => Object.hasOwn(entry, key));
  return estimated.map(({ key, label, unit, display }) => {
    const value = entry[key];
    const valid = value === null || typeof value === "boolean" || isNumber(value);
    if (!valid) ignored(`${key} is no finite number, boolean or null`, JSON.stringify(value));
    return { key, label, unit, text: valueText(valid ? value : null, display) };
  });
}

function sample(entry) {
  if (!Array.isArray(entry) || !isNumber(entry[0])) return ignored("no sample", JSON.stringify(entry));
  const [t, group, people] = entry;
  const known = Object.entries(people ?? {}).filter(([, intensity]) => isNumber(intensity));
  return { t, group: shareOrNull(group), people: new Map(known.slice(0, MAX_FACES)) };
}

function state(message, signals) {
  const faces = new Map();
  for (const entry of Array.isArray(message.faces) ? message.faces.slice(0, MAX_FACES) : []) {
    const known = face(entry, signals.face);
    if (known && !faces.has(known.id)) faces.set(known.id, known);
  }
  return {
    type: "state",
    t: message.t,
    aspect: message.width > 0 && message.height > 0 ? message.width / message.height : 16 / 9,
    fps: numberOr(message.fps, null),
    stale: message.stale === true,
    message: textOr(message.message, ""),
    faces: [...faces.values()],
    group: group(message.group, signals.group),
    scene: scene(message.scene, signals.scene),
  };
}

/** From this probability on, a face is marked as speaking or laughing. */
const VOICE_FROM = 0.5;

/** What a face does by its voice: "laughs", "speaks", or "". */
function voice(entry) {
  if (isNumber(entry.laughing) && entry.laughing >= VOICE_FROM) return "laughs";
  return isNumber(entry.speaking) && entry.speaking >= VOICE_FROM ? "speaks" : "";
}

function face(entry, declared) {
  const { id, x, y, size } = entry ?? {};
  if (typeof id !== "string" || id === "" || ![x, y, size].every(isNumber)) {
    return ignored("no face", JSON.stringify(entry));
  }
  const valid = entry.valid === true && isNumber(entry.intensity) && isLevel(entry.level);
  return {
    id,
    x,
    y,
    size: Math.min(1, Math.max(0, size)),
    // While a smile is not valid its numbers are not shown: they were not measured.
    intensity: valid ? shareOrNull(entry.intensity) : null,
    level: valid ? entry.level : null,
    visible: entry.visible !== false,
    voice: voice(entry),
    further: further(entry, declared),
  };
}

function group(entry, declared) {
  if (entry === null || typeof entry !== "object") return null;
  return {
    size: Math.max(0, numberOr(entry.size, 0)),
    valid: Math.max(0, numberOr(entry.valid, 0)),
    intensity: shareOrNull(entry.intensity),
    dispersion: numberOr(entry.dispersion, null),
    smiling: shareOrNull(entry.smiling),
    level: isLevel(entry.level) ? entry.level : null,
    trend: numberOr(entry.trend, null),
    synchrony: numberOr(entry.synchrony, null),
    stale: entry.stale === true,
    further: further(entry, declared),
  };
}

/** The values of a scene, which has no people and no group; null: people are processed. */
function scene(entry, declared) {
  return entry === null || typeof entry !== "object" ? null : further(entry, declared);
}
