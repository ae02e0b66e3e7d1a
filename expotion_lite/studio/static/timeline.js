// A picture of curves over time, a cursor that moves with the sound, and meters of the controls at that moment.
const html = (text) => Object.assign(document.createElement("template"), { innerHTML: text.trim() }).content.firstChild;
const bytesOf = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();

export default {
  render({ model, el }) {
    el.classList.add("el-part", "el-timeline");
    const root = html(`<div hidden>
      <div class="el-sheet"><img><div class="el-cursor" aria-hidden="true"></div></div>
      <input class="el-place" type="range" min="0" step="0.1" value="0" aria-label="place in the music, seconds">
      <div class="el-meters" aria-hidden="true"></div></div>`);
    el.append(root);
    const [image, cursor, place, meters] = ["img", ".el-cursor", ".el-place", ".el-meters"].map((q) => root.querySelector(q));
    let address = null;
    let levels = new Float32Array(0);
    let bars = [];

    function show() {
      const data = model.get("picture");
      if (address) URL.revokeObjectURL(address);
      address = data?.byteLength ? URL.createObjectURL(new Blob([bytesOf(data)], { type: "image/png" })) : null;
      root.hidden = !address;
      if (!address) return;
      image.src = address;
      image.alt = model.get("alt");
      const [left, right] = [model.get("left"), model.get("right")];
      place.max = model.get("duration_s").toFixed(1);
      place.style.marginLeft = `calc(${100 * left}% - 8px)`; // the middle of the knob starts at the axis
      place.style.width = `calc(${100 * (right - left)}% + 16px)`;
      const raw = bytesOf(model.get("levels"));
      levels = new Float32Array(raw.buffer, 0, raw.byteLength >> 2);
      bars = model.get("meters").map((name) => {
        const meter = html(`<div class="el-meter"><span></span><div><i></i></div></div>`);
        meter.querySelector("span").textContent = name;
        return meter;
      });
      meters.replaceChildren(...bars);
      move(0);
    }
    function move(at) {
      const duration = model.get("duration_s") || 1;
      const share = Math.min(1, Math.max(0, at / duration));
      cursor.style.left = `${100 * (model.get("left") + share * (model.get("right") - model.get("left")))}%`;
      if (document.activeElement !== place || Math.abs(place.value - at) > 0.15) place.value = at;
      const frame = Math.min(Math.floor(levels.length / bars.length) - 1, Math.floor(at * model.get("rate")));
      bars.forEach((meter, k) => {
        const value = Math.max(-1, Math.min(1, levels[frame * bars.length + k] || 0));
        const bar = meter.querySelector("i");
        bar.style.left = `${50 + 50 * Math.min(0, value)}%`;
        bar.style.width = `${50 * Math.abs(value)}%`;
      });
    }
    const follow = (event) => event.detail.key === model.get("key") && move(event.detail.at);
    place.oninput = () => {
      move(Number(place.value));
      document.dispatchEvent(new CustomEvent("expotion-seek", { detail: { key: model.get("key"), at: Number(place.value) } }));
    };
    document.addEventListener("expotion-at", follow);
    model.on("change:shown", show);
    show();
    return () => {
      document.removeEventListener("expotion-at", follow);
      model.off("change:shown", show);
      if (address) URL.revokeObjectURL(address);
    };
  },
};
