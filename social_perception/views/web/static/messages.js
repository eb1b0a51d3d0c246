// What the server says, checked: a message is either wholly understood or ignored with a warning.

const MAX_FACES = 1000;

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const numberOr = (value, other) => (isNumber(value) ? value : other);
const shareOrNull = (value) => (isNumber(value) ? Math.min(1, Math.max(0, value)) : null);
const textOr = (value, other) => (typeof value === "string" ? value : other);
const isLevel = (value) => Number.isInteger(value) && value >= 0 && value <= 3;

/**
 * The message in a text frame, or null for one that cannot be understood.
 *
 * A state's faces have an id, x, y, size (shares of the image) and intensity (0..1 or null); a face
 * that cannot be understood is left out, and so is the second of two with one id.
 */
export function parseMessage(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return refused("no JSON", text);
  }
  if (message === null || typeof message !== "object") return refused("no object", text);
  if (message.type === "hello") return hello(message);
  if (message.type === "state") {
    if (message.t === null || isNumber(message.t)) return state(message);
    return refused("no time", text);
  }
  return refused("unknown type", text);
}

function refused(why, what) {
  console.warn(`message ignored (${why}):`, String(what).slice(0, 200));
  return null;
}

function hello(message) {
  const samples = Array.isArray(message.history) ? message.history : [];
  return {
    type: "hello",
    version: textOr(message.version, ""),
    source: textOr(message.source, ""),
    pictureAllowed: message.picture_allowed === true,
    pictureReason: textOr(message.picture_reason, ""),
    people: message.people !== false,
    history: samples.map(sample).filter(Boolean),
  };
}

function sample(entry) {
  if (!Array.isArray(entry) || !isNumber(entry[0])) return refused("no sample", JSON.stringify(entry));
  const [t, group, people] = entry;
  const known = Object.entries(people ?? {}).filter(([, intensity]) => isNumber(intensity));
  return { t, group: shareOrNull(group), people: new Map(known.slice(0, MAX_FACES)) };
}

function state(message) {
  const faces = new Map();
  for (const entry of Array.isArray(message.faces) ? message.faces.slice(0, MAX_FACES) : []) {
    const known = face(entry);
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
    group: group(message.group),
  };
}

function face(entry) {
  const { id, x, y, size } = entry ?? {};
  if (typeof id !== "string" || id === "" || ![x, y, size].every(isNumber)) {
    return refused("no face", JSON.stringify(entry));
  }
  const valid = entry.valid === true && isNumber(entry.intensity) && isLevel(entry.level);
  return {
    id,
    x,
    y,
    size: Math.min(1, Math.max(0, size)),
    // A number that is not valid yet is not shown: it is no smile that was seen.
    intensity: valid ? shareOrNull(entry.intensity) : null,
    level: valid ? entry.level : null,
    visible: entry.visible !== false,
  };
}

function group(entry) {
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
  };
}
