// Small helpers for making and changing elements. Text is never parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const byName = (id) => document.getElementById(id);

export const html = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** Sets the text only where it changes, so that the layout is not computed again for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * The share of its distance to the target that a value moves in a time, both in s.
 *
 * Exponential, so that the motion does not depend on the frame rate.
 */
export const approach = (elapsed, timeConstant) =>
  reducedMotion.matches ? 1 : 1 - Math.exp(-elapsed / timeConstant);
