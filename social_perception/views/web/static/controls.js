// The buttons and keys; their settings are stored in the browser.

import { byName, setAttribute, setText } from "./dom.js";

const MIRROR = "social_perception.mirror";
const KEYS = "social_perception.keys";
const EDITABLE = "input, textarea, select, [contenteditable]";

function stored(key, other) {
  try {
    return (localStorage.getItem(key) ?? String(other)) === "true";
  } catch {
    return other; // Storage may be disabled; the page works without.
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, String(value));
  } catch {
    // The setting is lost when the page is closed.
  }
}

export class Controls {
  /** @param changed functions of a boolean, called when "mirror" or "image" changes */
  constructor(changed) {
    this.changed = changed;
    this.mirrored = stored(MIRROR, true);
    this.imageOn = false;
    this.imageAllowed = false;
    this.keysOn = stored(KEYS, true);
    this.buttons = {
      mirror: byName("mirror-button"),
      image: byName("image-button"),
      theme: byName("theme-button"),
      help: byName("help-button"),
    };
    this.help = byName("help");
    this.buttons.mirror.addEventListener("click", () => this.#mirror());
    this.buttons.image.addEventListener("click", () => this.#image());
    this.buttons.theme.addEventListener("click", () => this.#theme());
    this.buttons.help.addEventListener("click", () => this.help.showModal());
    byName("help-close").addEventListener("click", () => this.help.close());
    byName("keys-switch").checked = this.keysOn;
    byName("keys-switch").addEventListener("change", (event) => {
      this.keysOn = event.target.checked;
      store(KEYS, this.keysOn);
    });
    document.addEventListener("keydown", (event) => this.#key(event));
    this.#show();
    queueMicrotask(() => changed.mirror(this.mirrored));
  }

  /** Sets whether the server sends the camera's image; if not, the page shows why. */
  allowImage(allowed) {
    this.imageAllowed = allowed;
    byName("image-reason").hidden = allowed;
    if (!allowed && this.imageOn) this.#setImage(false);
    this.#show();
  }

  #mirror() {
    this.mirrored = !this.mirrored;
    store(MIRROR, this.mirrored);
    this.#show();
    this.changed.mirror(this.mirrored);
  }

  #image() {
    if (this.imageAllowed) this.#setImage(!this.imageOn);
  }

  #setImage(on) {
    this.imageOn = on;
    this.#show();
    this.changed.image(on);
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
      p: () => this.#image(),
      t: () => this.#theme(),
      "?": () => this.help.showModal(),
    }[event.key.toLowerCase()];
    if (act === undefined) return;
    event.preventDefault();
    act();
  }

  #show() {
    const { mirror, image, theme } = this.buttons;
    setAttribute(mirror, "aria-pressed", String(this.mirrored));
    setAttribute(image, "aria-pressed", String(this.imageOn));
    // Not "disabled": the keyboard must reach it, so that a screen reader reads the reason.
    setAttribute(image, "aria-disabled", String(!this.imageAllowed));
    const { choice } = globalThis.pageTheme;
    setText(byName("theme-text"), `Theme: ${choice}`);
    setText(byName("view-text"), this.mirrored ? "mirrored" : "as the camera sees it");
    setAttribute(theme, "data-choice", choice);
  }
}
