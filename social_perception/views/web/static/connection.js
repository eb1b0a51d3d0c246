// The connection to the server: opened, watched, and opened again with growing patience.

const FIRST_WAIT_S = 0.5;
const LONGEST_WAIT_S = 5;
/** After so long without a word the server is asked whether it has nothing to say. */
const SILENCE_S = 5;
const ANSWER_MS = 3000;
const HANDSHAKE_S = 8;
const TICK_MS = 250;

/**
 * Tells `onChange` of {phase, wait_s}: "connecting", "open", "lost" (with the seconds until the next
 * attempt) or "refused" (the server wants another token), and `onMessage` of what arrives.
 *
 * There is one socket and one timer at any time, however often the connection is lost.
 */
export class Connection {
  constructor({ onChange, onMessage }) {
    this.onChange = onChange;
    this.onMessage = onMessage;
    this.socket = null;
    this.timer = 0;
    this.wait = FIRST_WAIT_S;
    this.phase = "";
    this.dueMs = 0;
    this.heardMs = 0;
    this.asking = false;
  }

  start() {
    if (this.timer) return;
    this.timer = setInterval(() => this.#tick(), TICK_MS);
    this.#connect();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.#drop();
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Tries at once where the next attempt is only waited for. */
  hurry() {
    if (this.phase === "lost" || this.phase === "refused") this.dueMs = 0;
  }

  #connect() {
    const url = new URL("ws", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = url.hash = "";
    this.#change("connecting");
    this.heardMs = performance.now();
    const socket = new WebSocket(url);
    socket.binaryType = "blob";
    this.socket = socket;
    socket.onopen = () => this.#change("open");
    socket.onmessage = ({ data }) => {
      this.heardMs = performance.now();
      // Only a server that speaks is one to hurry back to.
      this.wait = FIRST_WAIT_S;
      this.onMessage(data);
    };
    socket.onclose = () => this.#lost(this.phase === "connecting");
  }

  #lost(refusedHandshake) {
    this.#drop();
    this.dueMs = performance.now() + 1000 * this.wait;
    this.wait = Math.min(LONGEST_WAIT_S, 2 * this.wait);
    this.#change("lost");
    if (refusedHandshake) this.#askWhy();
  }

  /** A page is not told why a handshake failed; a plain request is. */
  async #askWhy() {
    try {
      const answer = await fetch(document.baseURI.split(/[?#]/)[0], {
        method: "HEAD",
        cache: "no-store",
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (answer.status === 401 && this.phase === "lost") this.#change("refused");
    } catch {
      // No server there: that is known already.
    }
  }

  /** A link that is silent although the server has news is dead, and so is one without a server. */
  async #askWhetherAlive() {
    if (this.asking) return;
    this.asking = true;
    const asked = this.heardMs;
    let silentForReason = false;
    try {
      const answer = await fetch("healthz", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
      silentForReason = (await answer.json()).status !== "ok";
    } catch {
      // No answer, or none of ours.
    }
    this.asking = false;
    if (this.phase !== "open" || this.heardMs !== asked) return;
    if (silentForReason) this.heardMs = performance.now();
    else this.#lost(false);
  }

  #drop() {
    const { socket } = this;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #tick() {
    const now = performance.now();
    if (this.socket) {
      const silence = (now - this.heardMs) / 1000;
      if (this.phase === "connecting" && silence > HANDSHAKE_S) this.#lost(true);
      if (this.phase === "open" && silence > SILENCE_S) this.#askWhetherAlive();
      return;
    }
    if (now >= this.dueMs) this.#connect();
    else this.#change(this.phase);
  }

  #change(phase) {
    this.phase = phase;
    const left = this.socket ? 0 : Math.max(0, (this.dueMs - performance.now()) / 1000);
    this.onChange({ phase, seconds: Math.ceil(left) });
  }
}
