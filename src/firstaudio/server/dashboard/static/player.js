// Plays 16-bit PCM while it arrives: each piece is put on the audio clock right behind the one before.
// Scheduled buffers, not an AudioWorklet: that one exists only on https and localhost.

const RATE = 24000;
const AUDIBLE = 33 / 32768; // about -60 dB of full scale
const FIRST_DELAY_S = 0.02;
const FULL_S = 30; // read no further ahead: the server then parks the stream

export class Player {
  constructor() {
    this.sources = new Set();
    this.context = null;
    this.nextFrame = null; // where the next piece belongs, in samples of the audio clock; null: nothing was played yet
  }

  /** Play a response's body to its end. `now()` is the page's clock in ms; `figures` is kept up to date. */
  async play(response, figures, signal) {
    const rate = Number(response.headers.get("X-Sample-Rate")) || RATE;
    this.prepare(rate);
    this.context.resume();
    this.stop();
    const reader = response.body.getReader();
    let odd = new Uint8Array(0);
    for (;;) {
      const { value, done } = await reader.read();
      if (done || signal.aborted) break;
      const at = performance.now();
      figures.firstByte ??= at;
      const bytes = joined(odd, value);
      odd = bytes.slice(bytes.length - (bytes.length % 2));
      const samples = decode(bytes);
      if (!samples.length) continue;
      if (figures.firstAudio === null && samples.some((sample) => Math.abs(sample) >= AUDIBLE)) figures.firstAudio = at;
      figures.received += samples.length / rate;
      this.schedule(samples, rate, figures);
      while (this.lead() > FULL_S && !signal.aborted) await pause(200);
    }
    while (this.lead() > 0 && !signal.aborted) await pause(50);
  }

  /** Seconds of audio that are still to be played. */
  lead() {
    return this.nextFrame === null ? 0 : this.nextFrame / this.context.sampleRate - this.context.currentTime;
  }

  stop() {
    for (const source of this.sources) source.stop();
    this.sources.clear();
    this.nextFrame = null;
  }

  /** A context at the audio's own rate: buffers then meet on whole samples, without a click. To make one takes a while,
      and would be taken for the server's time; the browser wants to see a key or a pointer pressed before. */
  prepare(rate = RATE) {
    if (this.context?.sampleRate === rate) return;
    this.context?.close();
    this.context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
  }

  schedule(samples, rate, figures) {
    const lead = this.lead();
    const soon = Math.ceil((this.context.currentTime + FIRST_DELAY_S) * rate);
    if (this.nextFrame === null) this.nextFrame = soon;
    else if (lead < 0) {
      figures.stalls += 1;
      figures.stalled += soon / rate - this.nextFrame / rate;
      this.nextFrame = soon;
    }
    const buffer = this.context.createBuffer(1, samples.length, rate);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.context.destination);
    source.onended = () => this.sources.delete(source);
    this.sources.add(source);
    source.start(this.nextFrame / rate);
    this.nextFrame += samples.length;
  }
}

function joined(odd, value) {
  if (!odd.length) return value;
  const bytes = new Uint8Array(odd.length + value.length);
  bytes.set(odd);
  bytes.set(value, odd.length);
  return bytes;
}

function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: bytes.byteLength >> 1 }, (_, index) => view.getInt16(2 * index, true) / 32768);
}

const pause = (duration) => new Promise((resolve) => setTimeout(resolve, duration));
