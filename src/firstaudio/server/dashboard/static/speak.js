// "Try it": a request like any client's, with what this browser saw of it beside what the server says.

import { leadChart } from "./charts.js";
import { $, facts, h, ms, seconds, words } from "./dom.js";
import { ask } from "./feed.js";
import { Player } from "./player.js";

const player = new Player();
let running = null;

export async function fillVoices() {
  const [{ voices }, { default_voice: standard }] = await Promise.all(["v1/audio/voices", "v1/capabilities"].map(async (path) => (await ask(path)).json()));
  const options = voices.map((voice) => h("option", { value: voice.id }, `${voice.id}${voice.alias_of ? ` = ${voice.alias_of}` : ""} (${voice.language}, ${voice.engine})`));
  if (!voices.some((voice) => voice.id === standard)) options.unshift(h("option", { value: standard }, standard)); // a blend
  $("speak-voice").replaceChildren(...options);
  $("speak-voice").value = standard;
}

export function installSpeak() {
  $("speak-form").addEventListener("submit", (event) => {
    event.preventDefault();
    speak();
  });
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, () => player.prepare(), { once: true });
  $("speak-stop").addEventListener("click", () => running?.abort());
  $("speak-speed").addEventListener("input", () => ($("speak-speed-value").textContent = Number($("speak-speed").value).toFixed(1)));
}

async function speak() {
  running?.abort();
  const controller = (running = new AbortController());
  const figures = { asked: performance.now(), firstByte: null, firstAudio: null, received: 0, stalls: 0, stalled: 0, server: null, points: [] };
  const timer = setInterval(() => draw(figures), 100);
  say("asking", true);
  try {
    const response = await request(controller.signal);
    figures.server = timing(response.headers.get("Server-Timing"));
    figures.engine = response.headers.get("X-Engine");
    figures.voice = response.headers.get("X-Voice");
    figures.id = response.headers.get("X-Request-ID");
    say("speaking", true);
    await player.play(response, figures, controller.signal);
    say(controller.signal.aborted ? "stopped" : "done", false, controller);
  } catch (error) {
    say(controller.signal.aborted ? "stopped" : error.message, false, controller);
  } finally {
    clearInterval(timer);
    if (running === controller) player.stop();
    draw(figures);
  }
}

function request(signal) {
  const voice = $("speak-voice").value;
  const body = { input: $("speak-text").value, response_format: "pcm", speed: Number($("speak-speed").value), ...(voice ? { voice } : {}) };
  return ask("v1/audio/speech", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
}

function say(text, isRunning, controller = running) {
  if (running !== controller) return; // a newer one speaks
  $("speak-state").textContent = text;
  $("speak-stop").disabled = !isRunning;
}

/** Server-Timing as numbers by name, in ms. */
function timing(header) {
  const parts = (header ?? "").split(",").map((part) => part.trim().match(/^(\w+);dur=([\d.]+)$/)).filter(Boolean);
  return parts.length ? Object.fromEntries(parts.map(([, name, value]) => [name, Number(value)])) : null;
}

function draw(figures) {
  const { server } = figures;
  const stages = server && Object.entries(server).filter(([name, value]) => name !== "ttfa" && value >= 0.05);
  if (player.nextFrame !== null && figures.received) {
    figures.points.push({ at: performance.now() / 1000, lead: player.lead() });
    if (figures.points.length > 600) figures.points = figures.points.filter((_, index) => index % 2);
    leadChart($("speak-lead"), figures.points);
  }
  $("speak-figures").replaceChildren(...facts([
    ["First audio here", figures.firstAudio === null ? null : h("b", { id: "speak-ttfa" }, ms(figures.firstAudio - figures.asked))],
    ["At the server", server && [h("span", { id: "speak-server" }, ms(server.ttfa)), " ", h("small", {}, `until the headers left: ${stages.map(([name, value]) => `${words(name)} ${ms(value)}`).join(", ")}`)]],
    ["Received", figures.received ? `${seconds(figures.received)} of audio` : null],
    ["Gaps", figures.received ? (figures.stalls ? `${figures.stalls}, ${ms(1000 * figures.stalled)} in all` : "none") : null],
    ["Spoken by", figures.engine ? `${figures.engine}, ${figures.voice}` : null],
    ["Request", figures.id ? h("span", { class: "mono" }, figures.id) : null],
  ]));
}
