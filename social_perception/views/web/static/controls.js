// The buttons, the keys and what is remembered of them.

import { byName, setAttribute, setText } from "./dom.js";

const MIRROR = "social_perception.mirror";
const KEYS = "social_perception.keys";
const EDITABLE = "input, textarea, select, [contenteditable]";

function remembered(key, other) {
  try {
    return (localStorage.getItem(key) ?? String(other)) === "true";
  } catch {
    return other; // Storage may be forbidden; the page works without.
  }
}

function remember(key, value) {
  try {
    localStorage.setItem(key, String(value));
  } catch {
    // Kept until the page is closed.
  }
}

export class Controls {
  /** @param changed functions of a truth value that are called for "mirror" and "picture" */
  constructor(changed) {
    this.changed = changed;
    this.mirrored = remembered(MIRROR, true);
    this.pictureOn = false;
    this.pictureAllowed = false;
    this.keysOn = remembered(KEYS, true);
    this.buttons = {
      mirror: byName("mirror-button"),
      picture: byName("picture-button"),
      theme: byName("theme-button"),
      help: byName("help-button"),
    };
    this.help = byName("help");
    this.buttons.mirror.addEventListener("click", () => this.#mirror());
    this.buttons.picture.addEventListener("click", () => this.#picture());
    this.buttons.theme.addEventListener("click", () => this.#theme());
    this.buttons.help.addEventListener("click", () => this.help.showModal());
    byName("help-close").addEventListener("click", () => this.help.close());
    byName("keys-switch").checked = this.keysOn;
    byName("keys-switch").addEventListener("change", (event) => {
      this.keysOn = event.target.checked;
      remember(KEYS, this.keysOn);
    });
    document.addEventListener("keydown", (event) => this.#key(event));
    this.#show();
    queueMicrotask(() => changed.mirror(this.mirrored));
  }

  /** Tells whether the server gives pictures; the reason is shown where it does not. */
  allowPicture(allowed, reason) {
    this.pictureAllowed = allowed;
    this.pictureReason = reason || "Pictures are not allowed by this server (--web-picture).";
    if (!allowed && this.pictureOn) this.#setPicture(false);
    this.#show();
  }

  #mirror() {
    this.mirrored = !this.mirrored;
    remember(MIRROR, this.mirrored);
    this.#show();
    this.changed.mirror(this.mirrored);
  }

  #picture() {
    if (this.pictureAllowed) this.#setPicture(!this.pictureOn);
  }

  #setPicture(on) {
    this.pictureOn = on;
    this.#show();
    this.changed.picture(on);
  }

  #theme() {
    globalThis.pageTheme.next();
    this.#show();
  }

  #key(event) {
    const typing = event.target instanceof Element && event.target.closest(EDITABLE);
    const other = event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing;
    if (!this.keysOn || typing || other || this.help.open) return;
    const act = {
      m: () => this.#mirror(),
      p: () => this.#picture(),
      t: () => this.#theme(),
      "?": () => this.help.showModal(),
    }[event.key.toLowerCase()];
    if (act === undefined) return;
    event.preventDefault();
    act();
  }

  #show() {
    const { mirror, picture, theme } = this.buttons;
    setAttribute(mirror, "aria-pressed", String(this.mirrored));
    setAttribute(picture, "aria-pressed", String(this.pictureOn));
    // It stays reachable by the keyboard, so that the reason can be read there.
    setAttribute(picture, "aria-disabled", String(!this.pictureAllowed));
    byName("picture-reason").hidden = this.pictureAllowed || this.pictureReason === undefined;
    setText(byName("picture-reason"), this.pictureReason ?? "");
    const { choice } = globalThis.pageTheme;
    setText(byName("theme-text"), `Theme: ${choice}`);
    setText(byName("view-text"), this.mirrored ? "as in a mirror" : "as the camera sees it");
    setAttribute(theme, "data-choice", choice);
  }
}
