// The live instrument: small pictures of the camera go to the kernel, and the sound that comes back is played at once.
const WIDTH = 320, HEIGHT = 240, PICTURES_A_S = 10, QUALITY = 0.7;
const LEAD_S = 0.06, MOST_LEAD_S = 0.5; // from a chunk's arrival to its sound; it grows with every gap
const STRIP_S = 10; // seconds that the strip shows
const html = (text) => Object.assign(document.createElement("template"), { innerHTML: text.trim() }).content.firstChild;
const bytesOf = (view) => view instanceof ArrayBuffer ? new Uint8Array(view).slice() :
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();

/** Plays chunks one after the other, and tells when each is heard. */
class Player {
  constructor(tell) {
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.context.resume();
    this.lead = LEAD_S;
    this.next = null;
    this.tell = tell;
    this.meter = this.context.createAnalyser();
    this.meter.fftSize = 512;
    this.meter.connect(this.context.destination);
  }
  chunk(bytes, rate, at) {
    const samples = new Float32Array(bytes.buffer);
    const buffer = this.context.createBuffer(1, Math.max(1, samples.length), rate);
    buffer.copyToChannel(samples, 0);
    const now = this.context.currentTime;
    let gap = 0;
    if (this.next === null) this.next = now + this.lead;
    else if (this.next < now) { // it is late: a gap; more is buffered from now on
      this.lead = Math.min(MOST_LEAD_S, this.lead + 0.05);
      gap = now - this.next; // the lead is not told, so that the kernel stays ahead by it
      this.next = now + this.lead;
    }
    const node = this.context.createBufferSource();
    node.buffer = buffer;
    node.connect(this.meter);
    node.start(this.next);
    this.tell({ at_s: at, in_s: this.next - now + (this.context.outputLatency || 0), gap });
    this.next += buffer.duration;
  }
  get level() {
    const samples = new Float32Array(this.meter.fftSize);
    this.meter.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
  }
  close() {
    this.context.close();
  }
}

export default {
  render({ model, el }) {
    el.classList.add("el-part", "el-instrument");
    const root = html(`<div>
      <div class="el-stage"><video class="el-mirror" muted playsinline aria-label="what the camera sees, mirrored"></video>
        <canvas class="el-mirror el-bones" width="${WIDTH}" height="${HEIGHT}" aria-hidden="true"></canvas>
        <div class="el-light" aria-hidden="true"></div></div>
      <div class="el-row"><button class="el-main el-start" type="button">Start</button>
        <button class="el-halt" type="button" disabled>Stop</button><span class="el-tempo"></span></div>
      <div class="el-row"><label class="el-wide">words <input class="el-words" type="text" maxlength="2000"></label></div>
      <div class="el-row">
        <label>words count <input data-name="guidance" type="range" min="0" max="8" step="0.5"></label>
        <label>movement counts <input data-name="visual_guidance" type="range" min="0" max="8" step="0.5"></label>
        <label>gestures <input data-name="beat" type="range" min="0" max="1" step="0.05"> beat</label>
      </div>
      <canvas class="el-strip" width="640" height="110" role="img" aria-label="above, how much you move; below, how loud the music is; the last ten seconds"></canvas>
      <div class="el-hint">With headphones the beat is clearer. Small pictures go to the kernel of this notebook, and
        nowhere else; none is kept.</div>
      <div class="el-note" role="status" aria-live="polite"></div>
    </div>`);
    el.append(root);
    const get = (name) => root.querySelector(name);
    const [video, bones, light, start, halt, tempo, words, strip, note] =
      ["video", ".el-bones", ".el-light", ".el-start", ".el-halt", ".el-tempo", ".el-words", ".el-strip", ".el-note"].map(get);
    const pictures = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
    let stream = null, player = null, timer = null, drawing = null, activity = 0, nextBeat = null, history = [];

    const say = () => { note.textContent = model.get("message"); };
    const set = (name, value) => { model.set(name, value); model.save_changes(); };
    model.on("change:message", say);
    say();
    words.value = model.get("prompt");
    words.onchange = () => set("prompt", words.value);
    model.on("change:prompt", () => { words.value = model.get("prompt"); });
    root.querySelectorAll("input[type=range]").forEach((slider) => {
      const name = slider.dataset.name;
      slider.value = model.get(name);
      slider.onchange = () => set(name, Number(slider.value));
      model.on(`change:${name}`, () => { slider.value = model.get(name); });
    });

    function sendPicture() {
      if (!video.videoWidth) return;
      const taken = performance.now() / 1000;
      const scale = Math.max(WIDTH / video.videoWidth, HEIGHT / video.videoHeight); // fill, cut what is too much
      const [w, h] = [video.videoWidth * scale, video.videoHeight * scale];
      pictures.getContext("2d").drawImage(video, (WIDTH - w) / 2, (HEIGHT - h) / 2, w, h);
      pictures.toBlob(async (blob) => {
        if (blob && stream) model.send({ type: "picture", time_s: taken }, undefined, [await blob.arrayBuffer()]);
      }, "image/jpeg", QUALITY);
    }

    function draw() {
      const now = performance.now() / 1000;
      history.push([now, activity, player ? player.level : 0]);
      history = history.filter(([time]) => time > now - STRIP_S);
      const on = nextBeat !== null && now >= nextBeat && now < nextBeat + 0.12;
      light.classList.toggle("el-on", on);
      const { width, height } = strip, pen = strip.getContext("2d");
      pen.clearRect(0, 0, width, height);
      [[1, height / 2 - 4, 1, "#0072b2"], [2, height - 4, 4, "#d55e00"]].forEach(([part, base, gain, colour]) => {
        pen.fillStyle = colour;
        history.forEach((row) => {
          const x = width * (1 - (now - row[0]) / STRIP_S), tall = Math.min(1, gain * row[part]) * (height / 2 - 8);
          pen.fillRect(x, base - tall, 3, tall + 1);
        });
      });
    }

    function drawBones(points) {
      const pen = bones.getContext("2d");
      pen.clearRect(0, 0, WIDTH, HEIGHT);
      pen.fillStyle = "#e69f00";
      points.forEach(([x, y]) => { pen.beginPath(); pen.arc(x * WIDTH, y * HEIGHT, 5, 0, 7); pen.fill(); });
    }

    model.on("msg:custom", (m, buffers) => {
      if (m.type === "sound" && player) player.chunk(bytesOf(buffers[0]), m.rate, m.at_s);
      else if (m.type === "status") {
        activity = m.activity;
        if (m.next_in_s !== null) nextBeat = performance.now() / 1000 + m.next_in_s;
        tempo.textContent = !m.person ? "Nobody is seen." : m.tempo ? `You move at ${m.tempo} beats a minute.` : "You are seen.";
        drawBones(m.points);
      } else if (m.type === "ended") tidy();
    });

    start.onclick = async () => {
      start.disabled = true;
      player = new Player(({ at_s, in_s, gap }) => {
        model.set("chunks", model.get("chunks") + 1);
        if (gap > 0) {
          model.set("underruns", model.get("underruns") + 1);
          model.send({ type: "gap", seconds: gap });
        }
        model.send({ type: "heard", at_s, in_s });
        model.save_changes();
      });
      try {
        stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } } });
        video.srcObject = stream;
        await video.play();
      } catch (error) {
        tidy();
        note.textContent = `The camera could not be opened (${error.name}). Allow it beside the address, or close other programs that use it; then press Start again.`;
        return;
      }
      model.send({ type: "start" });
      halt.disabled = false;
      history = [];
      timer = setInterval(sendPicture, 1000 / PICTURES_A_S);
      drawing = setInterval(draw, 40);
    };
    halt.onclick = () => { model.send({ type: "stop" }); tidy(); };

    /** Release camera and sound. */
    function tidy() {
      clearInterval(timer);
      clearInterval(drawing);
      stream?.getTracks().forEach((track) => track.stop());
      stream = null;
      player?.close();
      player = null;
      video.srcObject = null;
      light.classList.remove("el-on");
      start.disabled = false;
      halt.disabled = true;
    }
    return () => { if (stream) model.send({ type: "stop" }); tidy(); };
  },
};
