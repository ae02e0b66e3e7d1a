// A WebAudio player of float32 sound: chunks while they are made, later whole takes, A or B, with a picture.
const LEAD_S = 0.15; // from a chunk's arrival to its sound, when no other chunk is queued
const html = (text) => Object.assign(document.createElement("template"), { innerHTML: text.trim() }).content.firstChild;
const bytesOf = (view) => view instanceof ArrayBuffer ? new Uint8Array(view).slice() :
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();

class Engine {
  constructor(model) {
    this.model = model;
    this.watchers = new Set();
    this.slots = {};
    this.nodes = [];
    this.reset(0);
    model.on("msg:custom", (m, buffers) => this.hear(m, buffers ?? []));
  }
  get context() {
    this.made ??= new AudioContext();
    return this.made;
  }
  reset(total) {
    this.nodes.forEach((node) => { try { node.stop(); } catch { /* it had not begun */ } });
    Object.assign(this, { nodes: [], origin: null, next: 0, received: 0, total, live: false, which: null, underruns: 0, chunks: 0 });
  }
  hear(m, buffers) {
    if (m.type === "start") this.begin(m);
    else if (m.type === "chunk") this.chunk(bytesOf(buffers[0]), m.rate);
    else if (m.type === "end") this.ended = true;
    else if (m.type === "stop") this.stop();
    else if (m.type === "load") this.load(m, bytesOf(buffers[0]));
    else if (m.type === "play") this.play(m.slot);
    this.watchers.forEach((tell) => tell());
  }
  begin(m) {
    this.reset(m.total_s);
    this.live = true;
    this.ended = false;
    this.peak = 0;
    this.context.resume();
    this.report();
  }
  buffer(bytes, rate) {
    const samples = new Float32Array(bytes.buffer);
    const buffer = this.context.createBuffer(1, Math.max(1, samples.length), rate);
    buffer.copyToChannel(samples, 0);
    return buffer;
  }
  chunk(bytes, rate) {
    if (!this.live) return;
    const buffer = this.buffer(bytes, rate);
    const samples = buffer.getChannelData(0);
    this.peak = Math.max(this.peak ?? 0, samples.reduce((m, x) => Math.max(m, Math.abs(x)), 0));
    const now = this.context.currentTime;
    if (this.origin === null) this.origin = this.next = now + LEAD_S;
    else if (this.next < now) { // the chunk is late: a gap, and everything after it is later
      this.underruns += 1;
      const lead = Math.min(2, LEAD_S + 0.4 * this.underruns); // after each gap, more is buffered
      this.origin += now + lead - this.next;
      this.next = now + lead;
    }
    this.source(buffer, 1).start(this.next);
    this.next += buffer.duration;
    this.received += buffer.duration;
    this.chunks += 1;
    this.report();
  }
  source(buffer, level) {
    const node = this.context.createBufferSource();
    const gain = this.context.createGain();
    gain.gain.value = level;
    node.buffer = buffer;
    node.connect(gain).connect(this.context.destination);
    node.level = gain;
    this.nodes.push(node);
    return node;
  }
  load(m, bytes) {
    if (m.clear) this.slots = {};
    this.slots[m.slot] = { buffer: this.buffer(bytes, m.rate), gain: m.gain, name: m.name };
  }
  /** Play all slots at once from a place, with only one audible, so that switching keeps the place. */
  play(slot, from = 0) {
    const playing = this.slots[slot];
    if (!playing) return;
    const length = Math.max(...Object.values(this.slots).map((s) => s.buffer.duration));
    this.reset(length);
    this.context.resume();
    const start = this.context.currentTime + 0.05;
    this.origin = start - from;
    this.received = length;
    for (const [name, s] of Object.entries(this.slots)) {
      const node = this.source(s.buffer, name === slot ? s.gain : 0);
      node.slot = name;
      node.start(start, from);
    }
    this.which = slot;
  }
  /** Continue from another place, unless chunks are still arriving. */
  seek(at) {
    const slot = this.which ?? Object.keys(this.slots)[0];
    if (slot && !(this.live && !this.ended)) this.play(slot, at);
  }
  choose(slot) {
    if (this.which === null || this.position() >= this.total) return this.play(slot);
    this.which = slot;
    for (const node of this.nodes) {
      node.level.gain.setTargetAtTime(node.slot === slot ? this.slots[slot].gain : 0, this.context.currentTime, 0.01);
    }
    return undefined;
  }
  stop() {
    this.reset(this.total);
    this.report();
  }
  position() {
    if (this.origin === null) return 0;
    const heard = this.context.currentTime - (this.context.outputLatency || 0); // sound is heard later than it is played
    return Math.max(0, Math.min(heard - this.origin, this.received));
  }
  get sounding() {
    return this.origin !== null && this.position() < this.received && this.context.state === "running";
  }
  report() {
    this.model.set("underruns", this.underruns);
    this.model.set("chunks", this.chunks);
    this.model.set("peak", this.peak ?? 0);
    this.model.save_changes();
  }
}

/** Add the labels that ipywidgets leaves out: names of a slider's parts, and which button of a row is pressed. */
function describe(studio) {
  for (const button of studio?.querySelectorAll(".widget-toggle-buttons button") ?? [])
    button.setAttribute("aria-pressed", String(button.classList.contains("mod-active")));
  for (const slider of studio?.querySelectorAll(".widget-slider:not([data-named])") ?? []) {
    const parts = slider.querySelectorAll(".noUi-handle, .ui-slider-handle, [contenteditable]");
    for (const part of parts) part.setAttribute("aria-label", slider.querySelector(".widget-label")?.textContent ?? "");
    if (parts.length) slider.dataset.named = "yes";
  }
}

export default () => {
  let engine; // made before any view, so that early chunks are not lost
  return {
    initialize({ model }) {
      engine = new Engine(model);
      return () => engine.stop();
    },
    render({ model, el }) {
      el.classList.add("el-part");
      const root = html(`<div class="el-sound">
        <div class="el-stage" hidden><video muted playsinline aria-label="the person, with the landmarks drawn on the picture"></video></div>
        <div class="el-side">
          <div class="el-row"><span class="el-slots" role="group" aria-label="what to hear"></span>
            <button class="el-halt" type="button">Stop</button>
            <button class="el-look" type="button" hidden>Look without sound</button></div>
          <div class="el-bar" aria-hidden="true"><div></div></div>
          <div class="el-note el-hint"></div>
        </div></div>`);
      el.append(root);
      const stage = root.querySelector(".el-stage");
      const video = root.querySelector("video");
      const slots = root.querySelector(".el-slots");
      const note = root.querySelector(".el-note");
      const bar = root.querySelector(".el-bar > div");
      const look = root.querySelector(".el-look");
      let looking = false;
      root.querySelector(".el-halt").onclick = () => { looking = false; engine.stop(); tell(); };
      look.onclick = () => { engine.stop(); looking = true; video.currentTime = 0; video.play(); tell(); };
      let address = null;

      function picture() {
        const data = model.get("picture");
        if (address) URL.revokeObjectURL(address);
        address = data?.byteLength ? URL.createObjectURL(new Blob([bytesOf(data)], { type: "video/mp4" })) : null;
        stage.hidden = look.hidden = !address;
        if (address) video.src = address;
      }
      function tell() {
        const had = slots.contains(document.activeElement) ? document.activeElement.dataset.slot : null;
        slots.replaceChildren(...Object.entries(engine.slots).map(([name, s]) => {
          const button = document.createElement("button");
          button.type = "button";
          button.className = "el-main";
          button.dataset.slot = name;
          button.textContent = `▶ ${name}`;
          button.setAttribute("aria-label", `hear ${s.name}`);
          button.title = s.name;
          button.setAttribute("aria-pressed", String(engine.which === name));
          button.onclick = () => { engine.choose(name); tell(); };
          return button;
        }));
        [...slots.children].find((button) => button.dataset.slot === had)?.focus(); // keep the keyboard focus
      }
      function say() {
        const at = engine.position();
        if (engine.live) {
          const gaps = engine.underruns === 1 ? "1 gap" : `${engine.underruns} gaps`;
          if (engine.chunks) return `${at.toFixed(1)} s heard of ${engine.received.toFixed(1)} s made; ${gaps}`;
          return engine.ended ? "" : "the first half second is being made";
        }
        return engine.which ? `${engine.slots[engine.which]?.name}: ${at.toFixed(1)} of ${engine.total.toFixed(1)} s` : "";
      }
      let frame = 0;
      let shown = 0;
      let told = -1;
      function follow(now) {
        frame = requestAnimationFrame(follow);
        const at = engine.position();
        const seen = looking ? video.currentTime : at;
        if (seen !== told) {
          told = seen;
          document.dispatchEvent(new CustomEvent("expotion-at", { detail: { key: model.get("key"), at: seen } }));
        }
        bar.style.width = `${engine.total ? (100 * at) / engine.total : 0}%`;
        if (address && engine.sounding) {
          looking = false;
          if (Math.abs(video.currentTime - at) > 0.12) video.currentTime = at;
          if (video.paused) video.play().catch(() => {});
        } else if (!video.paused && !looking) video.pause();
        if (now - shown > 200) {
          shown = now;
          const text = say();
          if (note.textContent !== text) note.textContent = text;
          describe(el.closest(".el-studio"));
        }
      }
      const seek = (event) => {
        if (event.detail.key !== model.get("key")) return;
        engine.seek(event.detail.at);
        if (address && !engine.live && !engine.which) { // there is no sound yet: move the picture alone
          looking = true;
          video.pause();
          video.currentTime = event.detail.at;
        }
        tell();
      };
      // Safari allows sound only after a click: resume at every click in the studio
      const wake = (event) => el.closest(".el-studio")?.contains(event.target) && engine.context.resume();
      document.addEventListener("pointerdown", wake, true);
      document.addEventListener("keydown", wake, true);
      document.addEventListener("expotion-seek", seek);
      engine.watchers.add(tell);
      model.on("change:picture", picture);
      picture();
      tell();
      frame = requestAnimationFrame(follow);
      return () => {
        cancelAnimationFrame(frame);
        engine.watchers.delete(tell);
        document.removeEventListener("expotion-seek", seek);
        document.removeEventListener("pointerdown", wake, true);
        document.removeEventListener("keydown", wake, true);
        model.off("change:picture", picture);
        if (address) URL.revokeObjectURL(address);
      };
    },
  };
};
