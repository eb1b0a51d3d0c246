// Numbers and states as text, the same everywhere on the page.

export const LEVEL_LABELS = ["Neutral", "Low", "Medium", "High"];
export const NOT_KNOWN = "not known";
/** In place of a number that is not known. */
export const UNKNOWN = "–";

/** In 1/s; a smaller change is called steady: 0.05 in five seconds. */
const MIN_TREND = 0.01;

export const levelText = (level) => (level === null ? "Unknown" : LEVEL_LABELS[level]);

/** A level's name in the style sheet. */
export const levelName = (level) => levelText(level).toLowerCase();

export const twoDigits = (value) => (value === null ? UNKNOWN : value.toFixed(2));

export const percent = (value) => (value === null ? NOT_KNOWN : `${Math.round(100 * value)} %`);

/** With its sign (a real minus), or "not known". */
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

/** A further value with its label and unit, without line breaks. */
export const furtherText = ({ label, unit, text }) =>
  `${label} ${text === UNKNOWN ? text : `${text} ${unit}`}`.trim().replaceAll(" ", "\u00a0");

export function trendText(trend) {
  if (trend === null) return NOT_KNOWN;
  if (Math.abs(trend) < MIN_TREND) return "steady";
  return trend > 0 ? "rising" : "falling";
}

export const people = (count) => (count === 1 ? "1 person" : `${count} people`);

/** The position of a person on the stage, for a share in [0, 1] from its left edge. */
export function placeText(share) {
  if (share < 1 / 3) return "left";
  return share > 2 / 3 ? "right" : "centre";
}

export function faceText(face) {
  if (!face.visible) return "hidden";
  return face.intensity === null ? "warming up" : `${levelText(face.level)} ${twoDigits(face.intensity)}`;
}

export function groupText(group) {
  if (group === null) return "The group is not known yet.";
  if (group.size === 0) return "Nobody in view.";
  const size = group.size === 1 ? "One person" : `Group of ${group.size}`;
  if (group.intensity === null) return `${size}, smile ${NOT_KNOWN}.`;
  const trend = group.trend === null ? "" : `, ${trendText(group.trend)}`;
  return `${size}, smile ${levelText(group.level)} ${twoDigits(group.intensity)}${trend}.`;
}

/** Ids in their natural order: f2 comes before f10. */
export const byId = (one, other) => one.id.localeCompare(other.id, "en", { numeric: true });
