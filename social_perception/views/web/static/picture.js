// The camera's picture behind the stage: off until somebody asks for it, and never remembered.

export class Picture {
  /** @param send tells the server whether pictures are wanted */
  constructor(image, send) {
    this.image = image;
    this.send = send;
    this.on = false;
    this.url = "";
    this.next = "";
    image.addEventListener("load", () => this.#loaded());
    image.addEventListener("error", () => this.#loaded());
    // Nobody looks at a hidden page: the camera's picture need not travel.
    document.addEventListener("visibilitychange", () => this.tell());
  }

  set(on) {
    this.on = on;
    this.tell();
    if (!on) this.#clear();
  }

  /** Says again what is wanted, for example to a server that was started anew. */
  tell() {
    this.send({ type: "picture", on: this.on && !document.hidden });
  }

  /** Shows a JPEG; one that comes while another is being decoded is left out. */
  show(blob) {
    if (!this.on || document.hidden || this.next || !(blob instanceof Blob)) return;
    this.next = URL.createObjectURL(blob.slice(0, blob.size, "image/jpeg"));
    this.image.src = this.next;
  }

  #loaded() {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = this.next;
    this.next = "";
    this.image.hidden = !this.on || this.image.naturalWidth === 0;
    if (!this.on) this.#clear();
  }

  #clear() {
    for (const url of [this.url, this.next]) if (url) URL.revokeObjectURL(url);
    this.url = this.next = "";
    this.image.hidden = true;
    this.image.removeAttribute("src");
  }
}
