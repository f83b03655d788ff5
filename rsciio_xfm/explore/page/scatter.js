/** Two images against each other; brushing both ways. */
import { FONT, choice, fill, h, numberInput, onceAFrame, placeOn, prepared, putPixels, styleOf, write } from "./dom.js";
import { colourTable } from "./colours.js";
import { imageChoices } from "./image_bar.js";
import { trying } from "./latest.js";
import { shown } from "./names.js";
import { activeOf, beginTerm, brushed } from "./region_edit.js";

const BINS = 128;
const LEFT = 52;
const BOTTOM = 34;

export function createScatter(app) {
  const { store } = app;
  const bar = h("div.bar");
  const canvas = h("canvas.scatter", { role: "img",
    title: "Drag here: the pixels are marked in the map. The chosen region is marked here.",
    label: "Scatter of two images; the numbers above do what the mouse does here" });
  const hint = h("p.muted", "Two images against each other, pixel by pixel: choose them and press Show. " +
    "Drag in them: the pixels are marked in the map; the chosen region is marked in them.");
  const element = h("div.panel.scatter-panel", bar, hint, canvas);
  let found = null; // {key, histogram, x: [lo, hi], y: [lo, hi]}
  let brush = null; // [x0, x1, y0, y1] while it is dragged

  const keyOf = ({ x, y }) => `${x}|${y}|${app.data.wishesOf(x)}${app.data.wishesOf(y)}`;
  const { poke, retry } = trying(app,
    (isFine) => {
      const { scatter } = app.state;
      if (!scatter || element.hidden || !app.info || ![scatter.x, scatter.y].every(app.isMade)) return null;
      return found?.key !== keyOf(scatter) && isFine(scatter) && scatter;
    },
    async (scatter) => {
      const key = keyOf(scatter);
      const { header, arrays } = await app.data.question("scatter", { ...scatter, bins: BINS });
      found = { key, histogram: arrays.histogram, x: header.x, y: header.y };
      drawBar();
      draw();
    }, keyOf);

  function place() {
    const [w, h_] = [canvas.clientWidth, canvas.clientHeight];
    const side = { width: w - LEFT - 8, height: h_ - BOTTOM - 8 };
    const between = (v, [a, b]) => (v - a) / (b - a || 1);
    return {
      x: (v) => LEFT + between(v, found.x) * side.width,
      y: (v) => 8 + (1 - between(v, found.y)) * side.height,
      xOf: (s) => found.x[0] + ((s - LEFT) / side.width) * (found.x[1] - found.x[0]),
      yOf: (s) => found.y[0] + (1 - (s - 8) / side.height) * (found.y[1] - found.y[0]),
      ...side,
    };
  }

  const draw = onceAFrame(() => {
    if (element.hidden || !canvas.clientWidth) return;
    const { context, width, height } = prepared(canvas);
    canvas.dataset.ready = Boolean(found);
    if (!found || !app.state.scatter) return;
    const at = place();
    context.imageSmoothingEnabled = false;
    context.drawImage(cells(), LEFT, 8, at.width, at.height);
    drawAxes(context, at, width, height);
    if (brush) {
      context.strokeStyle = styleOf(canvas, "--accent");
      context.lineWidth = 2;
      const [x0, x1, y0, y1] = brush;
      context.strokeRect(at.x(x0), at.y(y1), at.x(x1) - at.x(x0), at.y(y0) - at.y(y1));
    }
  });

  /** How many pixels in each cell; cells of the active region's pixels in its colour. */
  function cells() {
    const pixels = new Uint32Array(BINS * BINS);
    const table = colourTable(app.state.cmap);
    const most = Math.log1p(found.histogram.reduce((a, b) => Math.max(a, b), 0));
    const chosen = chosenCells();
    for (let y = 0; y < BINS; y++) {
      for (let x = 0; x < BINS; x++) {
        const n = found.histogram[y * BINS + x];
        const at = (BINS - 1 - y) * BINS + x;
        if (chosen?.[y * BINS + x]) pixels[at] = 0xff4f9fff;
        else if (n) pixels[at] = table[40 + Math.round((215 * Math.log1p(n)) / most)];
      }
    }
    return putPixels(h("canvas"), pixels, BINS, BINS);
  }
  function chosenCells() {
    const state = app.state;
    const region = activeOf(state);
    const [x, y] = [state.scatter.x, state.scatter.y].map((spec) => app.data.pixelsOf(spec));
    const mask = region?.on ? app.maskOf(region.region) : null;
    if (!mask || !x || !y) return null;
    const cellsOf = new Uint8Array(BINS * BINS);
    const cell = (v, [a, b]) => Math.min(BINS - 1, Math.floor(((v - a) / (b - a || 1)) * BINS));
    for (let i = 0; i < mask.length; i++) {
      if (!mask[i]) continue;
      const [cx, cy] = [cell(x[i], found.x), cell(y[i], found.y)];
      if (cx >= 0 && cy >= 0) cellsOf[cy * BINS + cx] = 1;
    }
    return cellsOf;
  }

  function drawAxes(context, at, width, height) {
    const { scatter } = app.state;
    context.fillStyle = context.strokeStyle = styleOf(canvas, "--text");
    context.lineWidth = 1;
    context.strokeRect(LEFT - 0.5, 7.5, at.width + 1, at.height + 1);
    context.font = FONT;
    const ends = [...found.x, ...found.y].map((v) => shown(v, 3));
    write(context, ends[0], [LEFT, height - BOTTOM + 4], "left top");
    write(context, ends[1], [LEFT + at.width, height - BOTTOM + 4], "right top");
    write(context, ends[2], [LEFT - 4, 8 + at.height], "right bottom");
    write(context, ends[3], [LEFT - 4, 8], "right top");
    write(context, app.labelOf(scatter.x), [LEFT + at.width / 2, height - 4], "center bottom");
    context.save();
    context.translate(14, 8 + at.height / 2);
    context.rotate(-Math.PI / 2);
    write(context, app.labelOf(scatter.y), [0, 6], "center bottom");
    context.restore();
  }

  const tidy = (v) => Number(v.toPrecision(6));
  function termOf([x0, x1, y0, y1]) {
    const { x, y } = app.state.scatter;
    return { kind: "b", minus: false, x, xLow: tidy(x0), xHigh: tidy(x1), y, yLow: tidy(y0), yHigh: tidy(y1) };
  }
  brushed(app, canvas, (event) => {
    if (!found) return null;
    const at = place();
    const read = (e) => {
      const { sx, sy } = placeOn(canvas, e);
      return [at.xOf(sx), at.yOf(sy)];
    };
    const start = read(event);
    return (moving) => {
      brush = read(moving).flatMap((end, k) => [Math.min(start[k], end), Math.max(start[k], end)]);
      draw();
      return termOf(brush);
    };
  }, () => {
    brush = null;
    draw();
  });

  function limits() {
    const inputs = ["x from", "x to", "y from", "y to"].map((label, k) => numberInput(label,
      tidy((k < 2 ? found.x : found.y)[k % 2]), () => {}, { step: "any", key: label }));
    const make = () => beginTerm(app, app.mode).done(termOf(inputs.map((i) => i.valueAsNumber)));
    return h("details", h("summary", "By numbers"), h("div.row", inputs,
      h("button", { onclick: make }, "Region")));
  }

  function drawBar() {
    const { scatter } = app.state;
    const choices = imageChoices(app, scatter ? [scatter.x, scatter.y] : []);
    const now = scatter ?? { x: choices[0][0], y: (choices[1] ?? choices[0])[0] };
    const set = (part) => store.set({ scatter: { ...now, ...part } });
    fill(bar, "Across", choice("Across", choices, now.x, (x) => set({ x }), { key: "x" }),
      "up", choice("Up", choices, now.y, (y) => set({ y }), { key: "y" }),
      h("button", { key: "off", onclick: () => store.set({ scatter: scatter ? null : now }) }, scatter ? "Off" : "Show"),
      scatter && found ? limits() : null);
    hint.hidden = Boolean(scatter);
    canvas.hidden = !scatter;
  }
  function all() {
    drawBar();
    draw();
    poke();
  }
  store.on((_, has, live) => {
    if (!live && has("scatter", "elements", "window", "energy", "excitation")) all();
    else if (has("regions", "active", "cmap", "dark")) draw();
  });
  app.on("images", draw);
  app.on("choices", () => {
    drawBar();
    draw();
    retry();
  });
  new ResizeObserver(draw).observe(canvas);
  return { element, draw: all };
}
