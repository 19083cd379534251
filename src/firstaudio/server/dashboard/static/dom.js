// Elements, and numbers as people read them. Text goes in as text only: nothing of a client's is ever markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element of HTML with attributes and children; null and undefined attributes are left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (name === "style") Object.assign(element.style, value); // through the object model: the policy allows no other way
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const $ = (id) => document.getElementById(id);

/** Put `children` into the element, unless they stand for the same data as last time. */
export function show(element, data, render) {
  const key = JSON.stringify(data ?? null);
  if (element.dataset.shown === key) return;
  element.dataset.shown = key;
  element.replaceChildren(...[render(data)].flat());
}

/** A table whose content is made only while it is open. */
export function table(details, heads, rows, caption) {
  const draw = () => {
    if (!details.open) return details.querySelector(".scroll")?.remove();
    const frame = details.querySelector(".scroll") ?? h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption });
    frame.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows().map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell)))))));
    if (!frame.isConnected) details.append(frame);
  };
  details.ontoggle = draw;
  draw();
}

export function facts(pairs) {
  return pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, ...[value].flat())]);
}

export const empty = (text) => h("p", { class: "empty" }, text);

export function ms(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= 10000) return `${(value / 1000).toFixed(1)} s`;
  if (Math.abs(value) >= 1000) return `${(value / 1000).toFixed(2)} s`;
  return `${value.toFixed(Math.abs(value) < 10 ? 1 : 0)} ms`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) < 60) return `${value.toFixed(Math.abs(value) < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(value / 60);
  const rest = Math.floor(value % 60);
  if (minutes < 60) return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function number(value, digits = 1) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(digits);
}

export const share = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(value > 0.99 && value < 1 ? 2 : 1)} %`);
export const words = (name) => name.replaceAll("_", " ");
export const clockTime = (at) => new Date(at * 1000).toLocaleTimeString([], { hour12: false });
