// The connection to the server: opened, monitored, and opened again after growing delays.

const FIRST_WAIT_S = 0.5;
const MAX_WAIT_S = 5;
/** After so long without a message the server's status is requested. */
const SILENCE_S = 5;
const ANSWER_MS = 3000;
const HANDSHAKE_S = 8;
const TICK_MS = 250;

/**
 * Calls `onChange` with {phase, seconds}: "connecting", "open", "lost" (with the seconds until the next
 * attempt) or "refused" (the server requires another token), and `onMessage` with each message's data.
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
    this.receivedMs = 0;
    this.checking = false;
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

  /** Reconnects at once instead of waiting for the next attempt. */
  reconnect() {
    if (this.phase === "lost" || this.phase === "refused") this.dueMs = 0;
  }

  #connect() {
    const url = new URL("ws", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = url.hash = "";
    this.#change("connecting");
    this.receivedMs = performance.now();
    const socket = new WebSocket(url);
    socket.binaryType = "blob";
    this.socket = socket;
    socket.onopen = () => this.#change("open");
    socket.onmessage = ({ data }) => {
      this.receivedMs = performance.now();
      // Only a server that sends messages is reconnected to quickly.
      this.wait = FIRST_WAIT_S;
      this.onMessage(data);
    };
    socket.onclose = () => this.#lost(this.phase === "connecting");
  }

  #lost(refusedHandshake) {
    this.#drop();
    this.dueMs = performance.now() + 1000 * this.wait;
    this.wait = Math.min(MAX_WAIT_S, 2 * this.wait);
    this.#change("lost");
    if (refusedHandshake) this.#checkAccess();
  }

  /** A browser hides why a handshake failed; the status of a plain request shows it. */
  async #checkAccess() {
    try {
      const answer = await fetch(document.baseURI.split(/[?#]/)[0], {
        method: "HEAD",
        cache: "no-store",
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (answer.status === 401 && this.phase === "lost") this.#change("refused");
    } catch {
      // No server is there, which the page shows already.
    }
  }

  /** A silent connection is dead if the server has new states, or if there is no server. */
  async #checkStatus() {
    if (this.checking) return;
    this.checking = true;
    const lastMs = this.receivedMs;
    let hasNoNews = false;
    try {
      const answer = await fetch("healthz", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
      hasNoNews = (await answer.json()).status !== "ok";
    } catch {
      // No answer, or one of another program.
    }
    this.checking = false;
    if (this.phase !== "open" || this.receivedMs !== lastMs) return;
    if (hasNoNews) this.receivedMs = performance.now();
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
      const silence = (now - this.receivedMs) / 1000;
      if (this.phase === "connecting" && silence > HANDSHAKE_S) this.#lost(true);
      if (this.phase === "open" && silence > SILENCE_S) this.#checkStatus();
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
