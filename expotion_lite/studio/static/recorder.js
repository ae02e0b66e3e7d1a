// A recorder for the webcam that also takes files. It sends them to Python in acknowledged chunks and contacts nothing else.
const CHUNK = 256 * 1024;

/** Return why there is no camera, and what to do; "" if there is one. */
function whyNoCamera() {
  if (/vscode/.test(location.protocol + location.host + navigator.userAgent)) {
    return "VS Code gives notebooks no camera. Open this notebook in JupyterLab in a browser, or record with another " +
      "program and choose the file below.";
  }
  if (navigator.mediaDevices?.getUserMedia && window.MediaRecorder) return "";
  if (!window.isSecureContext) {
    return `This page comes over plain http from ${location.hostname}, and browsers then give no camera. Open it as ` +
      "http://localhost (for a remote machine: ssh -L 8888:localhost:8888), or choose a file below.";
  }
  return "This browser gives pages no camera. Use a current Firefox, Chrome, Edge or Safari, or choose a file below.";
}

/** Return what an error of getUserMedia means, and what to do. */
function explain(error, wantsSound) {
  if (error.name === "NotFoundError" && wantsSound)
    return "No camera, or no microphone, was found. Plug one in, or untick the room's sound, and press Record again; or choose a file.";
  const by = {
    NotAllowedError: "The camera was refused. Allow it with the camera icon beside the address, then press Record again; or choose a file.",
    NotFoundError: "No camera was found. Plug one in and press Record again; or choose a file.",
    NotReadableError: "The camera is in use by another program. Close that one and press Record again; or choose a file.",
    OverconstrainedError: "The camera cannot do what was asked. Choose a file instead.",
  };
  return by[error.name] ?? `The camera could not be opened (${error.name}: ${error.message}). Choose a file instead.`;
}

const mimeOf = () => ["video/webm;codecs=vp8,opus", "video/webm", "video/mp4"].find((t) => MediaRecorder.isTypeSupported(t)) ?? "";
const floats = (view) => {
  const bytes = view instanceof DataView ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
  return new Float32Array(bytes.slice().buffer);
};

/** Sends a blob: "begin", then the chunks, each after the acknowledgement of the one before, then "end". */
class Sender {
  constructor(model, show) {
    this.model = model;
    this.show = show;
    this.waiting = null;
    this.id = 0;
    model.on("msg:custom", (m) => this.waiting?.(m));
  }
  reply() {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("Python does not answer; is the kernel busy or gone?")), 60000);
      this.waiting = (m) => {
        if (m.id !== this.id) return;
        clearTimeout(late);
        m.type === "error" ? reject(new Error(m.text)) : resolve(m);
      };
    });
  }
  async ask(content, buffers = []) {
    const answer = this.reply();
    this.model.send({ ...content, id: this.id }, undefined, buffers);
    return answer;
  }
  /** backingName: the music of the recording, "" if it was not music; null for a file that was uploaded. */
  async send(blob, name, backingName) {
    this.id = Date.now();
    await this.ask({ type: "begin", name, size: blob.size, backing_name: backingName });
    for (let at = 0, index = 0; at < blob.size; at += CHUNK, index++) {
      await this.ask({ type: "chunk", index }, [await blob.slice(at, at + CHUNK).arrayBuffer()]);
      this.show(Math.min(1, (at + CHUNK) / blob.size));
    }
    await this.ask({ type: "end" });
  }
}

/** What a person moves to, clicks or music from Python: it is played, and recorded in place of the microphone. */
class Backing {
  constructor(model) {
    this.context = new AudioContext();
    this.out = this.context.createMediaStreamDestination();
    this.nodes = [];
    const data = model.get("backing");
    if (data?.byteLength) {
      this.context.resume();
      const silence = this.context.createConstantSource(); // without it, an empty track would give the recorder no data at all
      silence.offset.value = 0;
      silence.connect(this.out);
      silence.start();
      this.nodes.push(silence);
      const samples = floats(data);
      this.buffer = this.context.createBuffer(1, samples.length, model.get("backing_rate"));
      this.buffer.copyToChannel(samples, 0);
    }
  }
  start() {
    if (!this.buffer) return;
    const node = this.context.createBufferSource();
    node.buffer = this.buffer;
    node.connect(this.context.destination);
    const late = this.context.createDelay(1); // people move to what they hear, which is later than it is played
    late.delayTime.value = Math.min(1, this.context.outputLatency || 0);
    node.connect(late).connect(this.out);
    node.start();
    this.nodes.push(node);
  }
  close() {
    this.nodes.forEach((node) => node.stop());
    this.context.close();
  }
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const html = (text) => Object.assign(document.createElement("template"), { innerHTML: text.trim() }).content.firstChild;

export default {
  render({ model, el }) {
    el.classList.add("el-part", "el-recorder");
    const root = html(`<div>
      <div class="el-row">
        <button class="el-main el-record" type="button">Record</button>
        <button class="el-stop" type="button" disabled>Stop</button>
        <label>seconds <input class="el-seconds" type="number" min="3" max="30" step="1"></label>
        <label><input class="el-mic" type="checkbox"> record the room's sound</label>
      </div>
      <div class="el-stage" hidden>
        <video class="el-mirror" muted playsinline aria-label="what the camera sees, mirrored"></video>
        <div class="el-count" aria-hidden="true"></div><div class="el-live" hidden>recording</div>
      </div>
      <div class="el-row">
        <label>or a video file <input class="el-file" type="file" accept="video/*,.mkv,.avi"></label>
        <button class="el-again" type="button" hidden>Send again</button>
        <progress class="el-up" max="1" value="0" hidden aria-label="share of the file that has arrived"></progress>
      </div>
      <div class="el-note" role="status" aria-live="polite"></div>
    </div>`);
    el.append(root);
    const get = (name) => root.querySelector(name);
    const [record, stop, stage, video, count, live, up, note, file, again] =
      [".el-record", ".el-stop", ".el-stage", "video", ".el-count", ".el-live", ".el-up", ".el-note", ".el-file", ".el-again"].map(get);
    const say = (text, bad = false) => {
      note.textContent = text;
      note.classList.toggle("el-bad", bad);
      model.set("message", text);
      model.save_changes();
    };
    const sender = new Sender(model, (share) => { up.hidden = share >= 1; up.value = share; });
    get(".el-seconds").value = model.get("seconds");
    get(".el-seconds").onchange = (event) => {
      const seconds = Math.min(30, Math.max(3, Number(event.target.value) || 10));
      event.target.value = seconds;
      model.set("seconds", seconds);
      model.save_changes();
    };
    const missing = whyNoCamera();
    if (missing) {
      record.disabled = true;
      say(missing, true);
    }
    let halt = () => {};
    let stream = null;
    let unsent = null; // a recording that has not arrived, for Send again

    async function upload(blob, name, backingName = null) {
      const recorded = backingName !== null;
      up.hidden = false;
      up.value = 0;
      record.disabled = file.disabled = again.disabled = true;
      try {
        await sender.send(blob, name, backingName);
        if (recorded) unsent = null;
        say(`${name} has arrived (${(blob.size / 1e6).toFixed(1)} MB).`);
      } catch (error) {
        if (recorded) unsent = [blob, name, backingName];
        say(error.message + (recorded ? " The recording is still here: press Send again." : ""), true);
      }
      up.hidden = true;
      again.hidden = !unsent;
      again.disabled = false;
      record.disabled = Boolean(missing);
      file.disabled = false;
    }

    async function takeOne() {
      const there = (model.get("backing")?.byteLength ?? 0) / 4 / model.get("backing_rate"); // seconds
      if (!model.get("ready") || (there && there < model.get("seconds") - 0.05))
        return say("The music is not there yet; press Record again in a moment.", true);
      record.disabled = file.disabled = true; // one file at a time
      let backing = null;
      let stopped = false;
      halt = () => { stopped = true; };
      try {
        backing = new Backing(model);
        const backingName = model.get("backing_name"); // read now: the choice may change during the recording
        stream = await navigator.mediaDevices.getUserMedia({
          video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } },
          audio: get(".el-mic").checked ? { echoCancellation: false, noiseSuppression: false, autoGainControl: false } : false,
        });
        stage.hidden = stop.disabled = false;
        video.srcObject = stream;
        await video.play();
        for (let left = model.get("countdown"); left > 0 && !stopped; left--) {
          count.textContent = left;
          note.textContent = `Recording begins in ${left}.`;
          await wait(1000);
        }
        count.textContent = "";
        if (stopped) return say("Nothing was recorded.");
        const tracks = [...stream.getVideoTracks(), ...(backing.buffer ? backing.out.stream.getAudioTracks() : stream.getAudioTracks())];
        const recorder = new MediaRecorder(new MediaStream(tracks), { mimeType: mimeOf(), videoBitsPerSecond: 2500000 });
        const parts = [];
        recorder.ondataavailable = (event) => event.data.size && parts.push(event.data);
        const done = new Promise((resolve) => { recorder.onstop = resolve; });
        recorder.start(1000);
        backing.start();
        live.hidden = false;
        halt = () => recorder.state !== "inactive" && recorder.stop();
        stream.getVideoTracks()[0].onended = halt;
        say(`Recording ${model.get("seconds")} seconds. Move.`);
        const timer = setTimeout(halt, model.get("seconds") * 1000);
        await done;
        clearTimeout(timer);
        const blob = new Blob(parts, { type: recorder.mimeType });
        tidy();
        await upload(blob, /mp4/.test(recorder.mimeType) ? "recording.mp4" : "recording.webm", backingName);
      } catch (error) {
        say(explain(error, get(".el-mic").checked), true);
      } finally {
        backing?.close();
        tidy();
        record.disabled = Boolean(missing);
        file.disabled = false;
      }
    }
    /** Release the camera, so that its light goes out. */
    function tidy() {
      stream?.getTracks().forEach((track) => track.stop());
      stream = null;
      stage.hidden = live.hidden = stop.disabled = true;
      video.srcObject = null;
    }
    record.onclick = takeOne;
    stop.onclick = () => halt();
    again.onclick = () => upload(...unsent);
    file.onchange = async () => {
      const chosen = file.files[0];
      if (chosen) await upload(chosen, chosen.name);
      file.value = "";
    };
    return tidy;
  },
};
