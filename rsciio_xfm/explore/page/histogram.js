/** Below the map: how many pixels have which value, contrast, and a threshold by the mouse. */
import { classColour } from "./colours.js";
import { box, choice, clamp, coloured, fill, h, numberInput, onceAFrame, placeOn, prepared, space, styleOf } from "./dom.js";
import { shown } from "./names.js";
import { beginTerm, brushed } from "./region_edit.js";

const BINS = 128;
const CHANNELS = ["#e8503a", "#2ca25f", "#4a8df0"];

export function createHistogram(app, map) {
  const { store } = app;
  const canvas = h("canvas.histogram", {
    role: "img",
    title: "How many pixels have which value. Drag to make a region of those between two values.",
    label: "Histogram of the image; the numbers beside it do what the mouse does here",
  });
  const controls = h("div.controls");
  const element = h("div.histogram-box", canvas, controls);
  let channel = 0;
  let bars = [];
  let chosen = null; // [low, high] while it is dragged

  const valueAt = (event) => {
    const [low, high] = bars[0].range;
    return low + clamp(placeOn(canvas, event).sx / canvas.clientWidth, 0, 1) * (high - low);
  };

  const draw = onceAFrame(() => {
    if (!canvas.clientWidth || !bars.length || !app.shown) return;
    const { context, width, height } = prepared(canvas);
    const [{ counts, range }] = bars;
    const most = Math.log1p(Math.max(...counts));
    const isRgb = app.shown.kind === "rgb";
    const colour = isRgb ? CHANNELS[channel] : styleOf(canvas, "--muted");
    counts.forEach((n, i) => {
      const top = (Math.log1p(n) / most) * (height - 4);
      box(context, colour, [(i * width) / counts.length, height - top, width / counts.length - 0.5, top]);
    });
    const at = (value) => ((value - range[0]) / (range[1] - range[0])) * width;
    // Where the contrast begins and ends.
    for (const value of map.limits[isRgb ? channel : 0] ?? []) {
      box(context, styleOf(canvas, "--text"), [Math.round(at(value)) - 1, 0, 2, height]);
    }
    if (chosen) {
      const [a, b] = chosen.map(at);
      box(context, "rgba(230, 159, 0, 0.45)", [a, 0, Math.max(1, b - a), height]);
    }
  });

  brushed(app, canvas, (event) => {
    if (app.shown?.kind !== "one") return null;
    const [of] = app.shown.specs;
    const start = valueAt(event);
    return (moving) => {
      const end = valueAt(moving);
      chosen = [tidy(Math.min(start, end)), tidy(Math.max(start, end))];
      draw();
      return { kind: "t", minus: false, of, low: chosen[0], high: chosen[1] };
    };
  }, () => {
    chosen = null;
    draw();
  });

  const tidy = (v) => Number(v.toPrecision(5));

  function contrast() {
    const state = app.state;
    return state.rgb ? state.rgbContrast[channel] : state.contrast;
  }
  function setContrast(part) {
    const state = app.state;
    const next = { ...contrast(), ...part };
    if (!(next.low < next.high)) return;
    const rgbContrast = state.rgbContrast.map((c, k) => (k === channel ? next : c));
    store.set(state.rgb ? { rgbContrast } : { contrast: next }, { merge: "contrast" });
  }
  const percent = (key, label, value) => numberInput(label, value,
    (v) => setContrast({ [key]: clamp(v, 0, 100) }),
    { min: 0, max: 100, step: 0.1, key });

  /** A threshold by numbers, for the keyboard. */
  function threshold() {
    const [low, high] = [["Least", "from"], ["Greatest", "to"]].map(([word, placeholder]) => h("input", {
      type: "number", step: "any", label: `${word} value`, placeholder, key: `threshold ${placeholder}`,
    }));
    const make = () => {
      const values = [low, high].map((input, k) =>
        (input.value === "" ? bars[0].range[k] : input.valueAsNumber));
      if (!(values[0] <= values[1])) return;
      const term = { kind: "t", minus: false, of: app.shown.specs[0], low: values[0], high: values[1] };
      beginTerm(app, app.mode).done(term);
    };
    return [h("span.label", "Threshold"), low, high,
      h("button", { key: "threshold", onclick: make,
        title: "Make a region of the pixels between these values" }, "Region")];
  }

  /** In place of the contrast: what the colours of classes are. */
  const legend = () => (app.classes ?? []).map(({ label }) => h("span.row",
    coloured(h("span.swatch.round"), classColour(label)), String(label)));

  function fillControls() {
    if (app.shown?.kind === "class") return fill(controls, "Classes", legend());
    const { rgb } = app.state;
    const { low, high, gamma } = contrast();
    const channels = ["Red", "Green", "Blue"].map((name, k) => [String(k), name]);
    fill(controls,
      rgb ? choice("Contrast of", channels, String(channel), (k) => {
        channel = Number(k);
        fillControls();
        changed();
      }, { key: "channel" }) : h("span.label", "Contrast"),
      percent("low", "Darkest at this per cent of the pixels", low),
      percent("high", "Brightest at this per cent of the pixels", high), "%",
      h("span.label", "gamma"),
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
    canvas.classList.toggle("xfm-void", isClass); // its place stays, so that the map does not move
    const { range } = bars[0] ?? {};
    if (range) canvas.title = `${shown(range[0])} to ${shown(range[1])}. ${canvas.title.split(". ").pop()}`;
    draw();
  }
  app.on("shown", () => {
    changed();
    const key = JSON.stringify([app.classes?.length, app.shown.kind, channel, contrast()]);
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
