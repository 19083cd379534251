// Charts as SVG, drawn at the width they have. Each has a text alternative; the tables beside them have the numbers.

import { ms, number, s } from "./dom.js";

const PAD = { left: 44, right: 14, top: 34, bottom: 24 };

function canvas(element, height, label) {
  const width = Math.max(260, element.clientWidth);
  return { width, height, svg: s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }) };
}

function niceMax(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].find((step) => step * unit >= value) * unit;
}

/** Counts over a logarithmic time axis, with the target and percentiles marked. */
export function histogram(element, group, targetMs) {
  const text = `Histogram of ${group.n} times to first audio: ${group.percentiles
    .filter((one) => one.value_ms !== null).map((one) => `${one.name} ${ms(one.value_ms)}`).join(", ")}`;
  const { svg, width, height } = canvas(element, 210, text);
  const lows = group.bins.map((bin) => bin.low_ms), highs = group.bins.map((bin) => bin.high_ms);
  const from = Math.floor(Math.log10(Math.min(...lows, targetMs))), to = Math.ceil(Math.log10(Math.max(...highs, targetMs * 1.05)));
  const x = (value) => PAD.left + ((Math.log10(value) - from) / (to - from)) * (width - PAD.left - PAD.right);
  const top = niceMax(Math.max(...group.bins.map((bin) => bin.n)));
  const floor = height - PAD.bottom, y = (n) => floor - (n / top) * (floor - PAD.top);
  levels(svg, width, top, y);
  for (let power = from; power <= to; power++) {
    const at = x(10 ** power);
    const anchor = power === from ? "start" : power === to ? "end" : "middle";
    svg.append(s("line", { class: "grid", x1: at, x2: at, y1: PAD.top, y2: floor }),
      s("text", { x: at, y: height - 7, "text-anchor": anchor }, tick(10 ** power)));
  }
  for (const bin of group.bins) {
    const left = x(bin.low_ms), right = x(bin.high_ms);
    svg.append(s("rect", { x: left + 0.5, width: Math.max(1, right - left - 1), y: y(bin.n), height: floor - y(bin.n),
      rx: 1.5, fill: bin.low_ms >= targetMs ? "var(--bad)" : "var(--model_inference)" },
    s("title", {}, `${ms(bin.low_ms)} to ${ms(bin.high_ms)}: ${bin.n}`)));
  }
  const at = x(targetMs);
  svg.append(s("line", { class: "target", x1: at, x2: at, y1: PAD.top - 18, y2: floor }),
    s("text", { x: at - 5, y: PAD.top - 22, "text-anchor": "end" }, `target ${ms(targetMs)}`));
  percentiles(svg, group.percentiles, x, floor);
  element.replaceChildren(svg);
}

/** Ticks under the bars; names only where they do not run into each other. */
function percentiles(svg, list, x, floor) {
  let free = -Infinity;
  for (const one of list) {
    if (one.value_ms === null) continue;
    const at = x(one.value_ms);
    svg.append(s("line", { class: "mark", x1: at, x2: at, y1: PAD.top - 4, y2: floor, "stroke-dasharray": "2 3" }));
    if (at - 13 < free) continue;
    svg.append(s("text", { class: "strong", x: at, y: PAD.top - 7, "text-anchor": "middle" }, one.name));
    free = at + 13;
  }
}

const tick = (value) => (value >= 1000 ? `${value / 1000} s` : `${value} ms`);

function levels(svg, width, top, y) {
  for (const part of [0, 0.5, 1]) {
    const value = top * part;
    svg.append(s("line", { class: "grid", x1: PAD.left, x2: width - PAD.right, y1: y(value), y2: y(value) }));
    if (part === 0.5 && top <= 1) continue;
    svg.append(s("text", { x: PAD.left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value, value < 1 ? 2 : 1)));
  }
}

/** Bars over the last minutes, one row a quantity: `rows` are {title, color, value(slot), bad(slot)?}. */
export function timeline(element, slots, rows, longestS) {
  const seenS = slots[0].ago_s + slots[0].seconds, spanS = Math.min(longestS, 60 * Math.ceil(seenS / 60));
  const each = 108;
  const { svg, width, height } = canvas(element, each * rows.length + 8, rows.map((row) => row.says(slots)).join("; "));
  const right = width - PAD.right, x = (agoS) => right - (agoS / spanS) * (right - PAD.left);
  rows.forEach((row, index) => {
    const ceiling = index * each + 24, floor = index * each + each - 12;
    const top = niceMax(Math.max(...slots.map(row.value)));
    const y = (value) => floor - (value / top) * (floor - ceiling);
    levels(svg, width, top, y);
    svg.append(s("text", { class: "strong", x: PAD.left, y: ceiling - 9 }, row.title));
    for (const slot of slots) {
      const begin = x(Math.min(spanS, slot.ago_s + slot.seconds)), end = x(slot.ago_s);
      let base = 0;
      for (const part of row.parts(slot)) {
        if (!part.value) continue;
        svg.append(s("rect", { x: begin + 0.5, width: Math.max(1, end - begin - 1), y: y(base + part.value),
          height: y(base) - y(base + part.value), fill: part.color }));
        base += part.value;
      }
    }
  });
  const step = spanS > 240 ? 2 : spanS > 60 ? 1 : 0.5;
  for (let minute = 0; minute <= spanS / 60; minute += step) {
    svg.append(s("text", { x: x(minute * 60), y: height - 3, "text-anchor": minute === 0 ? "end" : minute * 60 === spanS ? "start" : "middle" },
      minute ? (minute < 1 ? `−${60 * minute} s` : `−${minute} min`) : "now"));
  }
  element.replaceChildren(svg);
}

/** How far the audio was ahead of the ear, over the last seconds of playing. */
export function leadChart(element, points) {
  if (points.length < 2) return element.replaceChildren();
  const lead = points.map((point) => point.lead);
  const { svg, width, height } = canvas(element, 90, `Audio ahead of playback, now ${lead.at(-1).toFixed(1)} s, at least ${Math.min(...lead).toFixed(1)} s`);
  const top = niceMax(Math.max(...lead)), floor = height - 8, ceiling = 22;
  const y = (value) => floor - (Math.max(0, value) / top) * (floor - ceiling);
  const first = points[0].at, span = Math.max(0.001, points.at(-1).at - first);
  const x = (at) => PAD.left + ((at - first) / span) * (width - PAD.left - PAD.right);
  levels(svg, width, top, y);
  svg.append(s("text", { class: "strong", x: PAD.left, y: 12 }, "Seconds ahead of playback"),
    s("polyline", { class: "line", stroke: "var(--running)", points: points.map((point) => `${x(point.at).toFixed(1)},${y(point.lead).toFixed(1)}`).join(" ") }));
  return element.replaceChildren(svg);
}
