// The numbers in words, the same everywhere on the page.

export const LEVEL_WORDS = ["Neutral", "Low", "Medium", "High"];
export const NOT_KNOWN = "not known";
/** In place of a number that is not known. */
export const UNKNOWN = "–";

/** A change of a twentieth in five seconds is the least that is called a trend. */
const LEAST_TREND = 0.01;

export const levelWord = (level) => (level === null ? "Unknown" : LEVEL_WORDS[level]);

/** The name of a level in the style sheet. */
export const levelName = (level) => levelWord(level).toLowerCase();

export const twoDigits = (value) => (value === null ? UNKNOWN : value.toFixed(2));

export const percent = (value) => (value === null ? NOT_KNOWN : `${Math.round(100 * value)} %`);

/** With a sign that is a real minus, or "not known". */
export function signed(value) {
  return value === null ? NOT_KNOWN : valueText(value, "+.2f");
}

/**
 * A value of any signal as text, by its display format: Python's, of which the sign, the digits and "%" count.
 */
export function valueText(value, display) {
  if (value === null) return UNKNOWN;
  if (typeof value === "boolean") return value ? "yes" : "no";
  const [, sign, digits, kind] = /^([+]?)(?:\.(\d+))?([a-z%]?)$/.exec(display) ?? [];
  const scaled = kind === "%" ? 100 * value : value;
  const size = Math.abs(scaled);
  const text = digits === undefined ? String(size) : size.toFixed(Math.min(20, Number(digits)));
  // What is rounded to zero has no minus.
  const before = scaled < 0 && Number(text) > 0 ? "−" : sign ?? "";
  return `${before}${text}${kind === "%" ? " %" : ""}`;
}

/** A further value with its label and unit, in one piece that is not broken. */
export const furtherWords = ({ label, unit, text }) =>
  `${label} ${text === UNKNOWN ? text : `${text} ${unit}`}`.trim().replaceAll(" ", "\u00a0");

export function trendWord(trend) {
  if (trend === null) return NOT_KNOWN;
  if (Math.abs(trend) < LEAST_TREND) return "steady";
  return trend > 0 ? "rising" : "falling";
}

export const people = (count) => (count === 1 ? "1 person" : `${count} people`);

/** Where a person stands on the stage, for a share in [0, 1] from its left edge. */
export function placeWord(share) {
  if (share < 1 / 3) return "left";
  return share > 2 / 3 ? "right" : "centre";
}

export function faceWords(face) {
  if (!face.visible) return "hidden";
  return face.intensity === null ? "warming up" : `${levelWord(face.level)} ${twoDigits(face.intensity)}`;
}

export function groupWords(group) {
  if (group === null) return "Nothing is known of the group yet.";
  if (group.size === 0) return "Nobody in view.";
  const size = group.size === 1 ? "One person" : `Group of ${group.size}`;
  if (group.intensity === null) return `${size}, mood ${NOT_KNOWN}.`;
  const trend = group.trend === null ? "" : `, ${trendWord(group.trend)}`;
  return `${size}, mood ${levelWord(group.level)} ${twoDigits(group.intensity)}${trend}.`;
}

/** Ids in their natural order: f2 comes before f10. */
export const byId = (one, other) => one.id.localeCompare(other.id, "en", { numeric: true });
