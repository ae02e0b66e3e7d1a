// A curve to draw with the mouse, a finger or the keyboard. Its points go to Python when a stroke ends.
const html = (text) => Object.assign(document.createElement("template"), { innerHTML: text.trim() }).content.firstChild;

export default {
  render({ model, el }) {
    el.classList.add("el-part", "el-curve");
    const root = html(`<div>
      <canvas tabindex="0" role="slider" aria-orientation="horizontal"></canvas>
      <div class="el-row">
        <button class="el-clear" type="button">Clear</button>
        <button class="el-copy" type="button">Start from the person's own</button>
        <span class="el-hint">Mouse: draw. Keyboard: ← → place, ↑ ↓ height, space adds a bump, backspace removes it.</span>
      </div></div>`);
    el.append(root);
    const canvas = root.querySelector("canvas");
    const pen = canvas.getContext("2d");
    let values = [...model.get("values")];
    let cursor = 0;
    let last = null;
    const low = () => model.get("low");
    const high = () => model.get("high");
    const second = () => model.get("duration_s") / Math.max(1, values.length - 1);
    const clip = (v) => Math.round(1e4 * Math.min(high(), Math.max(low(), v))) / 1e4;

    function paint() {
      const ratio = window.devicePixelRatio || 1;
      const [w, h] = [canvas.clientWidth || 600, canvas.clientHeight || 130];
      canvas.width = w * ratio;
      canvas.height = h * ratio;
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      const ink = getComputedStyle(el).color;
      const x = (i, n) => 8 + ((w - 16) * i) / Math.max(1, n - 1);
      const y = (v) => h - 22 - ((h - 32) * (v - low())) / (high() - low());
      const line = (points, colour, width) => {
        pen.beginPath();
        points.forEach((v, i) => pen.lineTo(x(i, points.length), y(v)));
        Object.assign(pen, { strokeStyle: colour, lineWidth: width, lineJoin: "round" });
        pen.stroke();
      };
      pen.fillStyle = ink;
      pen.font = "11px sans-serif";
      pen.textAlign = "center";
      const length = model.get("duration_s");
      for (let s = 0; s <= length; s += length > 12 ? 5 : 1) {
        const at = 8 + ((w - 16) * s) / length;
        pen.globalAlpha = 0.25;
        pen.fillRect(at, 6, 1, h - 26);
        pen.globalAlpha = 0.9;
        pen.fillText(`${s} s`, Math.min(Math.max(at, 14), w - 14), h - 6);
      }
      pen.globalAlpha = 1;
      if (model.get("reference").length) line(model.get("reference"), "#999", 1.2);
      line([0, 0], "#999", 0.5);
      line(values, "#d55e00", 2);
      if (document.activeElement === canvas) {
        pen.beginPath();
        pen.arc(x(cursor, values.length), y(values[cursor] ?? 0), 6, 0, 7);
        Object.assign(pen, { strokeStyle: "#0072b2", lineWidth: 2.5 });
        pen.stroke();
      }
      canvas.setAttribute("aria-label", `${model.get("label")}: a curve over ${length.toFixed(1)} seconds`);
      canvas.setAttribute("aria-valuemin", low());
      canvas.setAttribute("aria-valuemax", high());
      canvas.setAttribute("aria-valuenow", values[cursor] ?? 0);
      canvas.setAttribute("aria-valuetext", `${(values[cursor] ?? 0).toFixed(2)} at ${(cursor * second()).toFixed(2)} seconds`);
      root.querySelector(".el-copy").disabled = !model.get("reference").length;
    }
    function keep() {
      model.set("values", [...values]);
      model.save_changes();
      paint();
    }
    /** Add (sign > 0) or remove a bump with a standard deviation of 0.05 s, like those of the channel pulse. */
    function bump(sign) {
      const sd = 0.05 / second();
      values = values.map((v, i) => {
        const shape = Math.exp(-0.5 * ((i - cursor) / sd) ** 2);
        return clip(sign > 0 ? Math.max(v, high() * shape) : v * (1 - shape));
      });
    }
    function place(event) {
      const box = canvas.getBoundingClientRect();
      const i = Math.round(((event.clientX - box.left - 8) / (box.width - 16)) * (values.length - 1));
      const share = (box.height - 22 - (event.clientY - box.top)) / (box.height - 32);
      return [Math.min(values.length - 1, Math.max(0, i)), clip(low() + share * (high() - low()))];
    }
    function stroke(event) {
      const [i, v] = place(event);
      const [from, start] = last ?? [i, v];
      const steps = Math.max(1, Math.abs(i - from));
      for (let k = 0; k <= steps; k++) values[Math.round(from + ((i - from) * k) / steps)] = clip(start + ((v - start) * k) / steps);
      last = [i, v];
      cursor = i;
      paint();
    }
    canvas.onpointerdown = (event) => { canvas.focus(); canvas.setPointerCapture(event.pointerId); last = null; stroke(event); };
    canvas.onpointermove = (event) => last && stroke(event);
    canvas.onpointerup = canvas.onpointercancel = () => { if (last) { last = null; keep(); } };
    canvas.onfocus = canvas.onblur = paint;
    canvas.onkeydown = (event) => {
      const step = event.shiftKey ? 10 : 1;
      const rise = (0.05 * (high() - low()));
      const moves = {
        ArrowLeft: () => { cursor = Math.max(0, cursor - step); },
        ArrowRight: () => { cursor = Math.min(values.length - 1, cursor + step); },
        Home: () => { cursor = 0; },
        End: () => { cursor = values.length - 1; },
      };
      const edits = {
        ArrowUp: () => { values[cursor] = clip(values[cursor] + rise); },
        ArrowDown: () => { values[cursor] = clip(values[cursor] - rise); },
        " ": () => bump(1),
        Backspace: () => bump(-1),
        Delete: () => bump(-1),
      };
      if (moves[event.key]) { moves[event.key](); paint(); }
      else if (edits[event.key]) { edits[event.key](); keep(); }
      else return;
      event.preventDefault();
      event.stopPropagation(); // the notebook has shortcuts on these keys
    };
    root.querySelector(".el-clear").onclick = () => { values = values.map(() => clip(0)); keep(); };
    root.querySelector(".el-copy").onclick = () => {
      const own = model.get("reference");
      values = values.map((_, i) => clip(own[Math.round((i * (own.length - 1)) / Math.max(1, values.length - 1))] ?? 0));
      keep();
    };
    const changed = () => { values = [...model.get("values")]; cursor = Math.min(cursor, values.length - 1); paint(); };
    const names = ["change:values", "change:reference", "change:duration_s", "change:low", "change:high", "change:label"];
    names.forEach((name) => model.on(name, changed));
    const watch = new ResizeObserver(paint);
    watch.observe(canvas);
    return () => { watch.disconnect(); names.forEach((name) => model.off(name, changed)); };
  },
};
