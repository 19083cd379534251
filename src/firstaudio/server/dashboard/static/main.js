// The page: one feed, and what happens when something is pressed.

import { $ } from "./dom.js";
import { ask, Feed, setKey } from "./feed.js";
import { installLegends, showAlerts, showBench, showEngines, showHead, showRecent, showStreams, showThroughput, showTiles, showTtfa, showTuner, showWarmth } from "./panels.js";
import { fillVoices, installSpeak } from "./speak.js";

const PANELS = [showHead, showTiles, showStreams, showTtfa, showThroughput, showRecent, showEngines, showAlerts, showTuner, showBench, showWarmth];
const THEMES = ["auto", "light", "dark"];
let last = null;
let hasVoices = false;

function render(snapshot) {
  last = snapshot;
  for (const part of PANELS) part(snapshot);
  if (!hasVoices && snapshot.state === "ready") {
    hasVoices = true;
    fillVoices().catch(() => (hasVoices = false));
  }
}

const feed = new Feed({
  onSnapshot: render,
  onState(state, text) {
    $("link").className = `link ${state}`;
    if ($("link").textContent !== text) $("link").textContent = text;
  },
  onKey(message) {
    $("key-open").hidden = false;
    $("key-problem").textContent = sessionStorage.getItem("firstaudio.key") ? message : "";
    if (!$("key-dialog").open) $("key-dialog").showModal();
  },
});

function installKey() {
  $("key-open").addEventListener("click", () => $("key-dialog").showModal());
  $("key-close").addEventListener("click", () => $("key-dialog").close());
  $("key-form").addEventListener("submit", () => {
    setKey($("key").value.trim());
    $("key").value = "";
    feed.start();
  });
}

function installTheme() {
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("firstaudio.theme", theme);
    $("theme").textContent = theme[0].toUpperCase() + theme.slice(1);
    $("theme").ariaLabel = `Colours: ${theme === "auto" ? "as the system has them" : theme}`;
  };
  set(THEMES.includes(localStorage.getItem("firstaudio.theme")) ? localStorage.getItem("firstaudio.theme") : "auto");
  $("theme").addEventListener("click", () => set(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]));
}

/** A button that asks the server for something, and says what came of it. */
function act(button, said, path, body) {
  $(button).addEventListener("click", async () => {
    $(button).disabled = true;
    $(said).className = "soft";
    try {
      const answer = await (await ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body()) })).json();
      $(said).textContent = answer.message ?? "begun";
    } catch (error) {
      $(said).className = "bad";
      $(said).textContent = error.message;
    }
    $(button).disabled = false;
  });
}

installLegends();
installTheme();
installKey();
installSpeak();
act("bench-start", "bench-said", "benchmarks/run", () => ({ benchmark_type: $("bench-type").value }));
act("tuner-start", "tuner-said", "benchmarks/optimization/trigger", () => ({}));
$("ttfa-group").addEventListener("change", () => last && showTtfa(last));
addEventListener("resize", () => last && render(last));
if (document.hidden) feed.pause();
else feed.start();
