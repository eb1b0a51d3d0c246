// The page: passes the server's messages to the stage, the gauge, the chart and the table.

import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { Controls } from "./controls.js";
import { byName, setText } from "./dom.js";
import { Gauge } from "./gauge.js";
import { History } from "./history.js";
import { markOf } from "./marks.js";
import { NO_SIGNALS, parseMessage } from "./messages.js";
import { CameraImage } from "./image.js";
import { Speech } from "./speech.js";
import { Stage } from "./stage.js";
import { PeopleTable } from "./table.js";

const CHART_MS = 100;
const TABLE_MS = 500;
const SUMMARY_MS = 5000;

const history = new History();
const stage = new Stage(byName("stage"), markOf);
const gauge = new Gauge(byName("gauge"));
const chart = new Chart(byName("chart"), byName("legend"), byName("chart-text"), history);
const table = new PeopleTable(
  byName("people"),
  byName("people-empty"),
  byName("people-count"),
  byName("stage-text"),
  markOf,
);
const speech = new Speech(byName("speech"));
const connection = new Connection({ onChange: showLink, onMessage: handle });
const image = new CameraImage(byName("image"), (message) => connection.send(message));
const controls = new Controls({
  mirror: (on) => {
    stage.setMirrored(on);
    byName("image").classList.toggle("mirrored", on);
    showTable();
  },
  image: (on) => {
    image.set(on);
    stage.setImage(on);
  },
});

let version = "";
let signals = NO_SIGNALS;
let state = null;
let link = { phase: "connecting", seconds: 0 };

function handle(data) {
  if (data instanceof Blob) return image.show(data);
  const message = parseMessage(data, signals);
  if (message?.type === "hello") handleHello(message);
  if (message?.type === "state") handleState(message);
}

function handleHello(hello) {
  // Messages of another version may differ from what this page reads.
  if (version && hello.version !== version) return location.reload();
  version = hello.version;
  setText(byName("source"), shortName(hello.source));
  // On a page without single people the style sheet hides everything that would show them.
  document.documentElement.dataset.people = hello.people ? "shown" : "none";
  signals = hello.signals;
  gauge.setFields([...signals.group, ...signals.scene]);
  history.reset(hello.history);
  controls.allowImage(hello.imageAllowed);
  image.request();
  chart.draw(true);
  chart.describe();
}

/** A file's name without its folders; an address stays whole. */
const shortName = (source) => (source.includes("://") ? source : source.split("/").at(-1));

function handleState(message) {
  const first = state === null;
  state = message;
  history.add(message);
  if (!document.hidden) showState();
  if (first) showTable();
}

function showState() {
  stage.update(state.faces, state.aspect);
  if (state.scene !== null) document.documentElement.dataset.scene = "shown";
  gauge.update(state.group, state.stale, state.scene);
  speech.update(state.faces, state.group);
  showLink(link);
}

function showTable() {
  if (document.hidden || state === null) return;
  table.update(state.faces, state.group, controls.mirrored);
}

/** The state of the connection: a name for the style sheet, a short text, a note on the stage, an announcement. */
function linkText() {
  if (link.phase === "refused") {
    const text = "The server was restarted with another token: open the address that its log shows.";
    return { name: "lost", pill: "Access denied", note: text, spoken: text };
  }
  if (link.phase === "lost" || (link.phase === "connecting" && state !== null)) {
    const again = link.phase === "lost" ? `reconnecting in ${link.seconds} s` : "reconnecting now";
    const note = state === null ? "No connection to the server." : "Connection lost. This is the last state.";
    return { name: "lost", pill: `Lost: ${again}`, note, spoken: "Connection lost, reconnecting." };
  }
  if (link.phase === "connecting") return { name: "waiting", pill: "Connecting", note: "Connecting…", spoken: "" };
  if (state === null) return { name: "waiting", pill: "Waiting", note: "Waiting for the first image", spoken: "" };
  if (state.stale) {
    const message = state.message || "no new images";
    // The message counts the seconds: it is announced once, without them.
    return { name: "stale", pill: `Stale: ${message}`, note: "No new images", spoken: "Stale: no new images." };
  }
  const fps = state.fps === null ? "" : ` ${state.fps.toFixed(1)} fps`;
  return { name: "live", pill: `Live${fps}`, note: state.faces.length ? "" : "Nobody in view", spoken: "" };
}

function showLink(now) {
  link = now;
  const { name, pill, note, spoken } = linkText();
  document.documentElement.dataset.link = name;
  setText(byName("link-text"), pill);
  setText(byName("note-text"), note);
  byName("note").hidden = note === "";
  speech.setLink(spoken);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  connection.reconnect();
  if (state !== null) showState();
  showTable();
  chart.draw(true);
});
// A page in the browser's back-forward cache must not keep a connection.
addEventListener("pagehide", () => connection.stop());
addEventListener("pageshow", () => connection.start());
addEventListener("online", () => connection.reconnect());

setInterval(() => link.phase === "open" && chart.draw(), CHART_MS);
setInterval(showTable, TABLE_MS);
setInterval(() => document.hidden || chart.describe(), SUMMARY_MS);
connection.start();
