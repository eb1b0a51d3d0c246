// The camera's image behind the stage: off until it is requested, and never stored.

export class CameraImage {
  /** @param send sends the server a message, whether images are requested */
  constructor(element, send) {
    this.element = element;
    this.send = send;
    this.on = false;
    this.url = "";
    this.next = "";
    element.addEventListener("load", () => this.#loaded());
    element.addEventListener("error", () => this.#loaded());
    // A hidden page requests no images.
    document.addEventListener("visibilitychange", () => this.request());
  }

  set(on) {
    this.on = on;
    this.request();
    if (!on) this.#clear();
  }

  /** Sends the request again, for example to a server that was restarted. */
  request() {
    this.send({ type: "picture", on: this.on && !document.hidden });
  }

  /** Shows a JPEG; one that arrives while another is being decoded is dropped. */
  show(blob) {
    if (!this.on || document.hidden || this.next || !(blob instanceof Blob)) return;
    this.next = URL.createObjectURL(blob.slice(0, blob.size, "image/jpeg"));
    this.element.src = this.next;
  }

  #loaded() {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = this.next;
    this.next = "";
    this.element.hidden = !this.on || this.element.naturalWidth === 0;
    if (!this.on) this.#clear();
  }

  #clear() {
    for (const url of [this.url, this.next]) if (url) URL.revokeObjectURL(url);
    this.url = this.next = "";
    this.element.hidden = true;
    this.element.removeAttribute("src");
  }
}
