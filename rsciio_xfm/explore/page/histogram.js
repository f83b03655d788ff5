/** Below the map: how many pixels have which value, contrast, and a threshold by the mouse. */
import { choice, clamp, dragged, fill, h, numberInput, onceAFrame, placeOn, prepared, space, styleOf } from "./dom.js";
import { shown } from "./names.js";
import { beginTerm } from "./region_edit.js";

const BINS = 128;
const CHANNELS = ["#e8503a", "#2ca25f", "#4a8df0"];

export function createHistogram(app, map) {
  const { store } = app;
  const canvas = h("canvas", {
    class: "xfm-histogram", role: "img",
    title: "How many pixels have which value. Drag to make a region of those between two values.",
    label: "Histogram of the image; the numbers beside it do what the mouse does here",
  });
  const controls = h("div.xfm-controls");
  const element = h("div.xfm-histogram-box", {}, canvas, controls);
  let channel = 0;
  let bars = [];
  let chosen = null; // [low, high] while it is dragged

  const valueAt = (sx) => {
    const [low, high] = bars[0].range;
    return low + clamp(sx / canvas.clientWidth, 0, 1) * (high - low);
  };

  const draw = onceAFrame(() => {
    if (!canvas.clientWidth || !bars.length || !app.shown) return;
    const { context, width, height } = prepared(canvas);
    const [{ counts, range }] = bars;
    const most = Math.log1p(Math.max(...counts));
    const isRgb = app.shown.kind === "rgb";
    context.fillStyle = isRgb ? CHANNELS[channel] : styleOf(canvas, "--muted");
    counts.forEach((n, i) => {
      const top = (Math.log1p(n) / most) * (height - 4);
      context.fillRect((i * width) / counts.length, height - top, width / counts.length - 0.5, top);
    });
    mark(context, map.limits[isRgb ? channel : 0], range,
      { width, height, colour: styleOf(canvas, "--text") });
    if (chosen) {
      context.fillStyle = "rgba(230, 159, 0, 0.45)";
      const [a, b] = chosen.map((v) => position(v, bars[0].range) * width);
      context.fillRect(a, 0, Math.max(1, b - a), height);
    }
  });

  const position = (value, [low, high]) => (value - low) / (high - low);

  /** Where the contrast begins and ends. */
  function mark(context, limits, range, { width, height, colour }) {
    context.fillStyle = colour;
    for (const value of limits ?? []) {
      context.fillRect(Math.round(position(value, range) * width) - 1, 0, 2, height);
    }
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!app.shown || app.shown.kind !== "one" || event.button !== 0) return;
    const start = valueAt(placeOn(canvas, event).sx);
    const term = beginTerm(app, app.mode);
    const of = app.shown.specs[0];
    const make = (moving) => {
      const end = valueAt(placeOn(canvas, moving).sx);
      chosen = [tidy(Math.min(start, end)), tidy(Math.max(start, end))];
      draw();
      return { kind: "t", minus: false, of, low: chosen[0], high: chosen[1] };
    };
    dragged(canvas, event, (moving) => term.put(make(moving)), (last, isDrag) => {
      if (isDrag) term.done(make(last));
      else term.cancel();
      chosen = null;
      draw();
    });
  });

  const tidy = (v) => Number(v.toPrecision(5));

  function contrast() {
    const state = store.get();
    return state.rgb ? state.rgbContrast[channel] : state.contrast;
  }
  function setContrast(part) {
    const state = store.get();
    const next = { ...contrast(), ...part };
    if (!(next.low < next.high)) return;
    if (!state.rgb) store.set({ contrast: next }, { merge: "contrast" });
    else {
      const rgbContrast = state.rgbContrast.map((c, k) => (k === channel ? next : c));
      store.set({ rgbContrast }, { merge: "contrast" });
    }
  }
  const percent = (key, label, value) => numberInput(label, value,
    (v) => setContrast({ [key]: clamp(v, 0, 100) }),
    { min: 0, max: 100, step: 0.1, key });

  /** A threshold by numbers, for the keyboard. */
  function threshold() {
    const [low, high] = ["low", "high"].map((key) => h("input", {
      type: "number", step: "any", label: `${key === "low" ? "Least" : "Greatest"} value`,
      placeholder: key === "low" ? "from" : "to", key: `threshold ${key}`,
    }));
    const make = () => {
      const values = [low, high].map((input, k) =>
        (input.value === "" ? bars[0].range[k] : input.valueAsNumber));
      if (!(values[0] <= values[1])) return;
      const term = { kind: "t", minus: false, of: app.shown.specs[0], low: values[0], high: values[1] };
      beginTerm(app, app.mode).done(term);
    };
    return [h("span.xfm-label", {}, "Threshold"), low, high,
      h("button", { key: "threshold", onclick: make,
        title: "Make a region of the pixels between these values" }, "Region")];
  }

  function fillControls() {
    const { rgb } = store.get();
    const { low, high, gamma } = contrast();
    const channels = ["Red", "Green", "Blue"].map((name, k) => [String(k), name]);
    fill(controls,
      rgb ? choice("Contrast of", channels, String(channel), (k) => {
        channel = Number(k);
        fillControls();
        changed();
      }, { key: "channel" }) : h("span.xfm-label", {}, "Contrast"),
      percent("low", "Darkest at this per cent of the pixels", low),
      percent("high", "Brightest at this per cent of the pixels", high), "%",
      h("span.xfm-label", {}, "gamma"),
      numberInput("Gamma: more than 1 makes dark places brighter", gamma,
        (v) => setContrast({ gamma: clamp(v, 0.1, 10) }),
        { min: 0.1, max: 10, step: 0.1, key: "gamma" }),
      space(),
      app.shown?.kind === "one" ? threshold() : null);
  }

  function changed() {
    if (!app.shown) return;
    const isClass = app.shown.kind === "class";
    const all = isClass ? [] : map.histogram(BINS);
    bars = all.length > 1 ? [all[channel]] : all;
    element.classList.toggle("xfm-void", isClass); // its place stays, so that the map does not move
    const { range } = bars[0] ?? {};
    if (range) canvas.title = `${shown(range[0])} to ${shown(range[1])}. ${canvas.title.split(". ").pop()}`;
    draw();
  }
  app.on("shown", changed);
  app.on("shown", () => {
    const state = store.get();
    const key = `${app.shown.kind} ${channel} ${JSON.stringify(contrast())} ${Boolean(state.rgb)}`;
    if (key !== element.dataset.drawn) fillControls();
    element.dataset.drawn = key;
  });
  store.on((_, has) => {
    if (has("contrast", "rgbContrast", "rgb")) {
      fillControls();
      draw();
    }
    if (has("dark")) draw();
  });
  new ResizeObserver(draw).observe(canvas);
  fillControls();
  return element;
}
