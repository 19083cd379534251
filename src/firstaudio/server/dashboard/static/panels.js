// What each panel shows of a snapshot. What the server does not know is said to be unknown.

import { histogram, timeline } from "./charts.js";
import { $, clockTime, empty, facts, h, ms, number, seconds, share, show, table, words } from "./dom.js";

const STAGES = ["queue", "text_processing", "phonemize", "model_inference", "audio_conversion", "chunk_delivery"];
const STATES = { running: "a step is on a lane", ready: "waits for a lane", parked: "waits for its reader", joined: "waits for a step of another stream that speaks the same, or for the engine's model", made: "all is made" };
const OUTCOMES = { completed: "var(--running)", cancelled: "var(--parked)", refused: "var(--ready)", failed: "var(--bad)" };
const SPAN_S = 600;
const RATE_SPAN_S = 60;
const MIN_SLOT_S = 3;
const NOT_MEASURED = "The server keeps no measurements (telemetry.enabled is off).";

const sum = (list, of) => list.reduce((total, one) => total + of(one), 0);
const count = (outcomes) => sum(Object.values(outcomes), (n) => n);
const requests = (slot) => count(slot.outcomes);
const others = (slot) => count(slot.other_outcomes);
const lost = (outcomes) => (outcomes.failed ?? 0) + (outcomes.refused ?? 0);
const colored = (color) => h("i", { style: { background: color } });
const wellKept = (snapshot) => (snapshot.is_measured ? "No data yet." : NOT_MEASURED);

export function installLegends() {
  $("streams-legend").append(...Object.entries(STATES).map(([state, meaning]) => h("li", {}, colored(`var(--${state})`), `${state}: ${meaning}`)));
  $("recent-legend").append(...[...STAGES, "other"].map((stage) => h("li", {}, colored(`var(--${stage})`), words(stage))));
  $("throughput-legend").append(...Object.entries(OUTCOMES).map(([outcome, color]) => h("li", {}, colored(color), outcome)));
}

// Head and tiles.

export function showHead(snapshot) {
  const kinds = { ready: "good", failed: "bad", closed: "bad", starting: "warning", draining: "warning" };
  $("state").className = `tag ${kinds[snapshot.state]}`;
  $("state").textContent = snapshot.message.startsWith(snapshot.state) ? snapshot.state : `${snapshot.state}: ${snapshot.message}`;
  $("about").textContent = `${snapshot.version}, up ${seconds(snapshot.uptime_s)}`;
}

export function showTiles(snapshot) {
  const group = snapshot.ttfa.find((one) => one.origin === "client" && !one.is_cached);
  const slots = lastSlots(snapshot.throughput, RATE_SPAN_S), span = sum(slots, (slot) => slot.seconds);
  const all = sum(snapshot.throughput, requests);
  const ten = snapshot.throughput, bad = sum(ten, (slot) => lost(slot.outcomes)), otherBad = sum(ten, (slot) => lost(slot.other_outcomes)), otherAll = sum(ten, others);
  const lanes = snapshot.engines.map((engine) => engine.lanes).filter(Boolean);
  const rate = (of) => (span ? number(sum(slots, of) / span) : "–");
  const beside = (of) => (sum(slots, others) ? `last minute; benchmarks and tuner: ${rate(of)}` : "last minute");
  show($("tiles"), [
    [number(snapshot.num_streams), "streams now", `${sum(lanes, (lane) => lane.num_busy_lanes)} of ${sum(lanes, (lane) => lane.num_lanes)} lanes busy`],
    [ms(percentile(group, "p50")?.value_ms), "first audio, median", group ? later(group) : "no requests yet"],
    [group ? share(group.num_met / group.n) : "–", `within ${ms(snapshot.ttfa_target_ms)}`, group ? `${number(group.num_met)} of ${number(group.n)}` : "no requests yet"],
    [rate((slot) => slot.audio_s), "clients' audio per second", beside((slot) => slot.other_audio_s)],
    [rate(requests), "clients' requests per second", beside(others)],
    [number(bad), "clients' failed or refused", `of ${number(all)} in ten minutes${otherAll ? `; benchmarks and tuner: ${number(otherBad)} of ${number(otherAll)}` : ""}`],
  ], (tiles) => tiles.map(([value, name, note]) => h("div", { class: "tile" }, h("span", {}, name), h("b", {}, value), h("span", {}, note))));
}

function lastSlots(slots, span) {
  const chosen = [];
  for (const slot of [...slots].reverse()) {
    if (sum(chosen, (one) => one.seconds) >= span) break;
    chosen.push(slot);
  }
  return chosen;
}

const percentile = (group, name) => group?.percentiles.find((one) => one.name === name);

/** What stands below the median: the p95, or how many requests the first figure needs that cannot be told yet. */
function later(group) {
  const median = percentile(group, "p50"), p95 = percentile(group, "p95");
  if (median.value_ms === null) return `needs ${median.needs} requests`;
  return p95.value_ms === null ? `p95 needs ${p95.needs} requests` : `p95 ${ms(p95.value_ms)}`;
}

// Streams.

export function showStreams(snapshot) {
  const element = $("streams");
  if (!snapshot.streams.length) return show(element, 0, () => empty("Nobody is being spoken to."));
  const full = Math.max(1, ...snapshot.streams.map((stream) => stream.lead_s ?? 0)), top = Math.ceil(full);
  const left = snapshot.num_streams - snapshot.streams.length;
  return show(element, snapshot.streams, (streams) => [
    h("ul", { class: "bars streams" }, streams.map((stream) => streamRow(stream, top)),
      h("li", { class: "axis-row", "aria-hidden": "true" }, h("span"), h("div", { class: "axis" }, [0, 0.5, 1].map((part) => h("span", { style: { left: `${100 * part}%` } }, `${number(top * part)} s`))), h("span"))),
    left > 0 ? h("p", { class: "soft" }, `and ${left} more that are less urgent`) : null,
  ].filter(Boolean));
}

function streamRow(stream, top) {
  const lead = stream.lead_s === null ? "nothing yet" : stream.lead_s < 0 ? `a gap of ${ms(-1000 * stream.lead_s)}` : `${stream.lead_s.toFixed(1)} s ahead`;
  const due = stream.due_s === null ? "" : stream.due_s < 0 ? `, overdue by ${ms(-1000 * stream.due_s)}` : `, next due in ${ms(1000 * stream.due_s)}`;
  const kind = stream.origin === "client" ? "" : `${stream.origin} `;
  return h("li", { title: `${stream.request_id}: ${stream.num_characters} characters, ${seconds(stream.unread_s)} unread, about ${seconds(stream.remaining_s)} to be made, gaps so far ${ms(1000 * stream.stalled_s)}` },
    h("span", { class: "who" }, `${kind}${stream.voice} `, h("span", { class: "soft" }, `${stream.engine}, ${seconds(stream.age_s)} `, h("span", { class: "mono" }, stream.request_id.slice(0, 8)))),
    h("div", { class: "bar", role: "img", "aria-label": `${stream.state}, ${lead}${due}` },
      h("i", { style: { width: `${Math.max(0.5, (100 * Math.max(0, stream.lead_s ?? 0)) / top)}%`, background: stream.lead_s !== null && stream.lead_s < 0 ? "var(--bad)" : `var(--${stream.state})` } })),
    h("span", { class: stream.lead_s !== null && stream.lead_s < 0 ? "end bad" : "end" }, lead));
}

// First audio.

const nameOf = (group) => `${group.origin}${group.is_cached ? ", cached" : ""}`;

export function showTtfa(snapshot) {
  const select = $("ttfa-group"), chosen = select.value;
  show(select, snapshot.ttfa.map(nameOf), (names) => names.map((name) => h("option", { value: name }, name)));
  if (snapshot.ttfa.some((group) => nameOf(group) === chosen)) select.value = chosen;
  const group = snapshot.ttfa.find((one) => nameOf(one) === select.value) ?? snapshot.ttfa[0];
  select.disabled = !group;
  if (!group) {
    $("ttfa").replaceChildren(empty(wellKept(snapshot)));
    $("ttfa-figures").replaceChildren();
    $("ttfa-note").textContent = "";
    return;
  }
  $("ttfa-note").textContent = `n = ${number(group.n)} in the last ${seconds(snapshot.ttfa_window_s)}`;
  histogram($("ttfa"), group, snapshot.ttfa_target_ms);
  $("ttfa-figures").replaceChildren(...group.percentiles.map((one) => pair(one.name, one.value_ms === null ? "–" : ms(one.value_ms), one.value_ms === null ? `needs n ≥ ${one.needs}` : "")),
    pair(`within ${ms(snapshot.ttfa_target_ms)}`, share(group.num_met / group.n), `95 % interval ${share(group.met_low)} to ${share(group.met_high)}`));
  showHour(snapshot.sections.last_hour);
  table($("ttfa-table"), ["from", "to", "requests"], () => group.bins.map((bin) => [ms(bin.low_ms), ms(bin.high_ms), number(bin.n)]), "Times to first audio");
}

function showHour(hour) {
  const known = hour?.num_requests && hour.ttfa.percentiles;
  $("ttfa-hour").textContent = known ? `Clients in the last hour: median ${ms(known.p50)}, p95 ${ms(known.p95)} (n = ${number(hour.ttfa.n)} of ${number(hour.num_requests)} requests: without cached answers, refusals and those who left early), ${hour.category}, trend ${hour.trend.direction}, most of it ${words(hour.bottleneck ?? "unknown")}.` : "";
}

const pair = (name, value, note) => h("div", {}, h("dt", {}, name), h("dd", {}, value, note ? h("small", {}, note) : null));

// Throughput.

export function showThroughput(snapshot) {
  const slots = snapshot.throughput.filter((slot) => slot.seconds >= MIN_SLOT_S);
  if (!snapshot.is_measured || !slots.length) return $("throughput").replaceChildren(empty(wellKept(snapshot)));
  const perSecond = (slot, outcome) => (slot.outcomes[outcome] ?? 0) / slot.seconds;
  const last = (of) => number(of(slots.at(-1)));
  const audio = (slot) => slot.audio_s / slot.seconds, rate = (slot) => requests(slot) / slot.seconds;
  timeline($("throughput"), slots, [
    { title: "Seconds of audio per second", value: audio, says: () => `Seconds of audio per second, last ${last(audio)}`, parts: (slot) => [{ value: audio(slot), color: "var(--made)" }] },
    { title: "Requests per second", value: rate, says: () => `Requests per second, last ${last(rate)}`, parts: (slot) => Object.entries(OUTCOMES).map(([outcome, color]) => ({ value: perSecond(slot, outcome), color })) },
  ], SPAN_S);
  table($("throughput-table"), ["ended before", "seconds", "audio", ...Object.keys(OUTCOMES), "benchmarks and tuner", "their audio"], () => [...slots].reverse().map((slot) =>
    [seconds(slot.ago_s), number(slot.seconds), seconds(slot.audio_s), ...Object.keys(OUTCOMES).map((outcome) => number(slot.outcomes[outcome] ?? 0)), number(others(slot)), seconds(slot.other_audio_s)]), "Throughput");
}

// Requests.

export function showRecent(snapshot) {
  const list = snapshot.recent;
  const longest = Math.max(0, ...list.map((one) => one.ttfa_ms ?? 0));
  show($("recent"), list, () => (list.length ? h("ul", { class: "bars recent" }, list.map((one) => requestRow(one, longest))) : empty(wellKept(snapshot))));
  table($("recent-table"), ["at", "request", "voice", "class", "characters", "warmth", "outcome", "TTFA", ...STAGES.map(words), "other"],
    () => list.map((one) => [clockTime(one.at), one.request_id.slice(0, 12), one.voice, one.text_class, number(one.num_characters), one.warmth, one.outcome, ms(one.ttfa_ms), ...parts(one).map((part) => ms(part.ms))]), "Requests");
}

/** The stages of a request's TTFA, and what no stage explains. */
function parts(one) {
  const stages = STAGES.map((stage) => ({ stage, ms: one.first_audio_ms[stage] ?? null }));
  const known = sum(stages, (part) => part.ms ?? 0);
  return [...stages, { stage: "other", ms: one.ttfa_ms === null ? null : Math.max(0, one.ttfa_ms - known) }];
}

function requestRow(one, longest) {
  const list = parts(one).filter((part) => part.ms);
  const spoken = list.filter((part) => part.ms >= 0.05).map((part) => `${words(part.stage)} ${ms(part.ms)}`).join(", ");
  let left = 0;
  const bars = one.ttfa_ms === null ? [] : list.map((part) => {
    const width = (100 * part.ms) / longest;
    const bar = h("i", { style: { left: `${left}%`, width: `${width}%`, background: `var(--${part.stage})` } });
    left += width;
    return bar;
  });
  const tags = [one.origin === "client" ? "" : one.origin, one.warmth === "warm" ? "" : one.warmth, one.outcome === "completed" ? "" : one.outcome].filter(Boolean).join(", ");
  return h("li", { title: one.error ?? `${one.request_id}: ${spoken}` },
    h("span", { class: "soft" }, clockTime(one.at)),
    h("span", { class: "who" }, `${one.voice || "nobody"} `, h("span", { class: "soft" }, `${one.text_class} `, one.outcome === "failed" || one.outcome === "refused" ? h("span", { class: "bad" }, tags) : tags)),
    h("div", { class: "bar", role: "img", "aria-label": spoken || one.error || one.outcome }, bars),
    h("span", { class: "end" }, ms(one.ttfa_ms)));
}

// Engines.

export function showEngines(snapshot) {
  show($("engines"), snapshot.engines.map(({ lanes, ...rest }) => ({ ...rest, lanes: lanes && { ...lanes, num_steps: 0 } })), (engines) => engines.map((engine) => h("div", {},
    h("h3", {}, `${engine.name} `, h("span", { class: engine.state === "ready" ? "good" : engine.state === "failed" ? "bad" : "warning" }, engine.message)),
    h("dl", { class: "facts" }, facts([
      ["lanes", engine.lanes && `${engine.lanes.num_busy_lanes} of ${engine.lanes.num_lanes} busy`],
      ["work per second of audio", engine.lanes && `${engine.lanes.rtf.toPrecision(2)} s`],
      ["until first audio", engine.lanes && ms(1000 * engine.lanes.first_step_s)],
      ["streams", engine.lanes && `${engine.lanes.num_streams}, ${engine.lanes.num_refused} refused since the start`],
    ]), tree(engine.report)))));
}

/** Anything as pairs of name and value: for what an engine or a part tells in words of its own. */
export function tree(value, depth = 0) {
  if (value === null || value === undefined || depth > 3) return [];
  return facts(Object.entries(value).map(([name, inner]) => [words(name), node(inner, depth)]));
}

function node(value, depth) {
  if (value === null || value === undefined || value === "") return null;
  if (Array.isArray(value)) return value.length ? value.map((one) => h("div", {}, leaf(one))) : null;
  if (typeof value !== "object") return leaf(value);
  const inner = tree(value, depth + 1);
  return inner.length ? h("dl", { class: "facts" }, inner) : null;
}

function leaf(value) {
  if (typeof value === "number") return number(value, 3);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (value === null || typeof value !== "object") return String(value);
  return Object.entries(value).filter(([, one]) => one !== null && typeof one !== "object").map(([name, one]) => `${words(name)} ${leaf(one)}`).join(", ");
}

// Alerts and advice.

export function showAlerts(snapshot) {
  const { alerts, last_hour: hour } = snapshot.sections;
  show($("alerts"), [alerts?.active, alerts?.history, hour?.recommendations], () => [
    ...activeAlerts(alerts), ...pastAlerts(alerts), h("h3", {}, "Advice"), ...advice(hour, snapshot)]);
}

function activeAlerts(alerts) {
  if (!alerts) return [empty("Nothing is watched for.")];
  if (!alerts.active.length) return [h("p", { class: "good" }, "No alert is active.")];
  return [h("ul", { class: "notes", role: "alert" }, alerts.active.map((one) => note("bad", one.message, `since ${clockTime(one.raised_at)}`)))];
}

function pastAlerts(alerts) {
  const past = (alerts?.history ?? []).slice(0, 3);
  return past.length ? [h("ul", { class: "notes" }, past.map((one) => note("", one.message, `${clockTime(one.raised_at)} to ${clockTime(one.cleared_at)}: ${one.cleared_because}`)))] : [];
}

function advice(hour, snapshot) {
  if (!hour) return [empty(wellKept(snapshot))];
  if (!hour.recommendations.length) return [h("p", { class: "soft" }, hour.num_requests ? `All ${number(hour.num_requests)} requests of clients in the last hour, cached ones too, give no cause for any.` : "No requests of clients in the last hour.")];
  return [h("ul", { class: "notes" }, hour.recommendations.map((one) => note({ critical: "bad", warning: "warning" }[one.severity] ?? "", one.message, one.action, gain(one.expected_gain), `n = ${number(one.evidence.n)}`)))];
}

const gain = (one) => one && (one.ttfa_ms_at_most === null ? `gain not known: ${one.why}` : `at most ${ms(one.ttfa_ms_at_most)} sooner: ${one.why}`);

const note = (kind, text, ...small) => h("li", { class: kind }, text, small.filter(Boolean).map((line) => h("small", {}, line)));

// Tuner.

export function showTuner(snapshot) {
  const tuner = snapshot.sections.tuner;
  show($("tuner"), tuner, () => (tuner ? [
    h("p", {}, h("b", {}, words(tuner.state)), tuner.remark && !tuner.experiments.length ? `: ${tuner.remark}` : ""),
    ...[tuner.problem, tuner.failure].filter(Boolean).map((text) => h("p", { class: "bad" }, text)),
    ...tuner.experiments.flatMap(experiment),
    tuner.changed.length ? h("ul", { class: "notes" }, tuner.changed.map((one) => note("warning", `${one.setting} stands at ${leaf(one.value)}`, `configured: ${leaf(one.configured)}`))) : null,
    tuner.decisions.length ? h("ul", { class: "notes" }, tuner.decisions.slice(0, 5).map((one) => note(one.action === "stopped" || one.action === "rolled_back" ? "warning" : "", `${one.setting} ${leaf(one.current)} → ${leaf(one.candidate)}: ${words(one.action)}`, one.sentence, clockTime(one.at)))) : null,
  ].filter(Boolean) : empty("No tuner.")));
  table($("tuner-table"), ["setting", "now", "candidates", "moves"], () => (tuner?.knobs ?? []).map((knob) => [knob.setting, leaf(knob.value), knob.candidates.map(leaf).join(", "), words(knob.moves)]), "Settings that the tuner may turn");
}

function experiment(one) {
  const counts = Object.entries(one.counts ?? {}).map(([arm, count]) => [`arm ${arm}`, leaf(count)]);
  return [h("p", {}, `${one.setting}: ${leaf(one.current)} against ${leaf(one.candidate)}`), h("p", { class: "soft" }, one.reason),
    meter(one.progress, `round ${number(one.num_rounds)} of at most ${number(one.max_rounds)}`), h("dl", { class: "facts" }, facts(counts))];
}

function meter(value, text) {
  return h("div", {}, h("progress", { max: "1", value: value ?? null, "aria-label": text }), h("small", { class: "soft" }, ` ${text}`));
}

// Benchmarks.

export function showBench(snapshot) {
  const { benchmarks, schedule } = snapshot.sections;
  show($("bench"), [benchmarks, schedule], () => [
    ...(benchmarks?.running ? [h("p", {}, `${benchmarks.running} is running`), meter(benchmarks.progress, benchmarks.current_test ?? "")] : []),
    ...(benchmarks?.last ? lastRun(benchmarks.last) : benchmarks?.running ? [] : [empty("No benchmark yet.")]),
    ...(schedule && schedule.every === "off" ? [h("p", { class: "soft" }, "No schedule (schedule.every is off).")] : []),
    ...(schedule && schedule.every !== "off" ? [h("h3", {}, "Schedule"), h("dl", { class: "facts" }, tree(schedule))] : []),
  ]);
}

function lastRun(run) {
  const kinds = { succeeded: "good", failed: "bad", cancelled: "warning" };
  return [h("p", {}, h("b", {}, run.id), ` ${run.benchmark_type} `, h("span", { class: kinds[run.status] ?? "" }, run.status)),
    h("dl", { class: "facts" }, facts([
      ["ended", run.ended_at && clockTime(run.ended_at)], ["figures are", run.verdict?.toLowerCase()],
      ["first audio, median", run.ttfa_ms === null ? null : ms(run.ttfa_ms)], ["RTF, median", run.rtf === null ? null : number(run.rtf, 4)],
      ["requests", run.num_requests === null ? null : `${number(run.num_ok)} of ${number(run.num_requests)} ok`],
      ["other listeners", run.contended === null ? null : run.contended ? "yes: figures are contended" : "none"],
      ["why", run.error && h("span", { class: "bad" }, run.error)],
    ])),
    (run.trends ?? []).length ? h("ul", { class: "notes" }, run.trends.map((line) => note(run.suspect ? "warning" : "", line))) : null].filter(Boolean);
}

// Cache and warmth.

export function showWarmth(snapshot) {
  const { cache, prediction, warmup } = snapshot.sections;
  const first = cache ? cache.num_hits + cache.num_misses : 0;
  const error = (one) => (one?.n && one.median_absolute_error_ms !== null ? `off by ${ms(one.median_absolute_error_ms)} in the median (n = ${one.n})` : null);
  show($("warmth"), [cache, prediction, warmup], () => h("dl", { class: "facts" }, facts([
    ["first segments kept", cache && (cache.max_bytes ? `${number(cache.num_entries)}, ${number(cache.num_bytes / 1e6)} of ${number(cache.max_bytes / 1e6)} MB` : "off")],
    ["answered from them", cache && (first ? `${number(cache.num_hits)} of ${number(first)} (${share(cache.num_hits / first)})` : "none yet")],
    ["shared while running", cache && number(cache.num_shared)],
    ["made room for others", cache && number(cache.num_evictions)],
    ["predicted first audio", error(prediction?.made) ?? "not compared yet"],
    ["the same, cached", error(prediction?.cached)],
    ...(warmup ? [["warm-up", h("dl", { class: "facts" }, tree(warmup))]] : []),
  ])));
}
