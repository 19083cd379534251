// Snapshots from the server. One way for servers with and without keys: EventSource could not send a header.

const SILENCE_MS = 12000;
const RETRY_MS = [1000, 2000, 4000, 8000];

let key = sessionStorage.getItem("firstaudio.key") ?? "";

export function setKey(value) {
  key = value;
  sessionStorage.setItem("firstaudio.key", value);
}

/** `fetch` to this server, with the key where there is one; throws an Error with the server's own words. */
export async function ask(path, options = {}) {
  const headers = { ...(options.headers ?? {}), ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(new URL(path, document.baseURI), { ...options, headers, cache: "no-store" });
  if (response.ok) return response;
  const error = new Error(await reason(response));
  error.status = response.status;
  throw error;
}

async function reason(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `the server answered ${response.status}`;
  }
}

/** The data of server-sent events in a body, as they come; null for a sign of life. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (held + value).split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const kind = lines.find((line) => line.startsWith("event: "))?.slice(7) ?? "message";
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      yield data ? { kind, data: JSON.parse(data) } : null;
    }
  }
}

export class Feed {
  /** Calls `onSnapshot(snapshot)`, `onState("live" | "lost" | "paused", text)` and `onKey(message)`. */
  constructor(handlers) {
    Object.assign(this, handlers);
    this.numFailures = 0;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.start()));
  }

  start() {
    this.stop();
    this.controller = new AbortController();
    this.run(this.controller);
  }

  /** A hidden page asks for nothing. */
  pause() {
    this.stop();
    this.onState("paused", "paused while hidden");
  }

  stop() {
    this.controller?.abort();
    clearTimeout(this.silence);
    clearTimeout(this.retry);
  }

  async run(controller) {
    try {
      const response = await ask("dashboard/events", { signal: controller.signal });
      for await (const event of events(response.body)) {
        this.heard(controller);
        if (event?.kind === "message") this.onSnapshot(event.data);
        if (event?.kind === "failure") this.onState("lost", event.data.message);
      }
      if (!controller.signal.aborted) this.lose(controller, "the server ended the connection");
    } catch (error) {
      if (this.controller !== controller) return;
      if (error.status === 401) return this.needKey(error.message);
      this.lose(controller, error.name === "AbortError" ? "no news from the server" : error.message);
    }
  }

  heard(controller) {
    this.numFailures = 0;
    this.onState("live", "live");
    clearTimeout(this.silence);
    this.silence = setTimeout(() => controller.abort(), SILENCE_MS);
  }

  needKey(message) {
    this.onState("lost", "key needed");
    this.onKey(message);
  }

  lose(controller, why) {
    if (this.controller !== controller) return;
    const wait = RETRY_MS[Math.min(this.numFailures++, RETRY_MS.length - 1)];
    this.onState("lost", `${why}; trying again`);
    this.retry = setTimeout(() => this.start(), wait);
  }
}
