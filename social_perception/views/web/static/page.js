// The page: what the server says goes to the stage, the gauge, the chart and the table.

import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { Controls } from "./controls.js";
import { byName, setText } from "./dom.js";
import { Gauge } from "./gauge.js";
import { History } from "./history.js";
import { markOf } from "./marks.js";
import { NO_SIGNALS, parseMessage } from "./messages.js";
import { Picture } from "./picture.js";
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
const connection = new Connection({ onChange: showLink, onMessage: take });
const picture = new Picture(byName("picture"), (message) => connection.send(message));
const controls = new Controls({
  mirror: (on) => {
    stage.setMirrored(on);
    byName("picture").classList.toggle("mirrored", on);
    showTable();
  },
  picture: (on) => {
    picture.set(on);
    stage.setPicture(on);
  },
});

let version = "";
let signals = NO_SIGNALS;
let state = null;
let link = { phase: "connecting", seconds: 0 };

function take(data) {
  if (data instanceof Blob) return picture.show(data);
  const message = parseMessage(data, signals);
  if (message?.type === "hello") greet(message);
  if (message?.type === "state") takeState(message);
}

function greet(hello) {
  // The page of another version may not understand what is said.
  if (version && hello.version !== version) return location.reload();
  version = hello.version;
  setText(byName("source"), shortName(hello.source));
  // Where nothing is said of single people, the style sheet leaves out what would show them.
  document.documentElement.dataset.people = hello.people ? "shown" : "none";
  signals = hello.signals;
  gauge.setFields(signals.group);
  history.reset(hello.history);
  controls.allowPicture(hello.pictureAllowed, hello.pictureReason);
  picture.tell();
  chart.draw(true);
  chart.describe();
}

/** A file's name without its folders; an address stays whole. */
const shortName = (source) => (source.includes("://") ? source : source.split("/").at(-1));

function takeState(message) {
  const first = state === null;
  state = message;
  history.add(message);
  if (!document.hidden) showState();
  if (first) showTable();
}

function showState() {
  stage.update(state.faces, state.aspect);
  gauge.update(state.group, state.stale);
  speech.update(state.faces, state.group);
  showLink(link);
}

function showTable() {
  if (document.hidden || state === null) return;
  table.update(state.faces, state.group, controls.mirrored);
}

/** The state of the connection as a name for the style sheet, a short text and a note on the stage. */
function linkWords() {
  if (link.phase === "refused") {
    const words = "The server was started anew with another key: open the address that is printed in its log";
    return { name: "lost", pill: "Not let in", note: `${words}.`, spoken: `${words}.` };
  }
  if (link.phase === "lost" || (link.phase === "connecting" && state !== null)) {
    const again = link.phase === "lost" ? `reconnecting in ${link.seconds} s` : "reconnecting now";
    const note = state === null ? "No connection to the server." : "Connection lost. This is what was seen last.";
    return { name: "lost", pill: `Lost: ${again}`, note, spoken: "Connection lost, reconnecting." };
  }
  if (link.phase === "connecting") return { name: "waiting", pill: "Connecting", note: "Connecting…", spoken: "" };
  if (state === null) return { name: "waiting", pill: "Waiting", note: "Waiting for the first image.", spoken: "" };
  if (state.stale) {
    const message = state.message || "no news from the camera";
    // How long it has lasted changes all the time; that it lasts is news only once.
    return { name: "stale", pill: `Stale: ${message}`, note: "No images come.", spoken: "Stale: no images come." };
  }
  const fps = state.fps === null ? "" : ` ${state.fps.toFixed(1)} fps`;
  return { name: "live", pill: `Live${fps}`, note: state.faces.length ? "" : "Nobody in view", spoken: "" };
}

function showLink(now) {
  link = now;
  const { name, pill, note, spoken } = linkWords();
  document.documentElement.dataset.link = name;
  setText(byName("link-text"), pill);
  setText(byName("note-text"), note);
  byName("note").hidden = note === "";
  speech.setLink(spoken);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  connection.hurry();
  if (state !== null) showState();
  showTable();
  chart.draw(true);
});
// A page in the browser's back-forward cache holds no connection.
addEventListener("pagehide", () => connection.stop());
addEventListener("pageshow", () => connection.start());
addEventListener("online", () => connection.hurry());

setInterval(() => link.phase === "open" && chart.draw(), CHART_MS);
setInterval(showTable, TABLE_MS);
setInterval(() => document.hidden || chart.describe(), SUMMARY_MS);
connection.start();
