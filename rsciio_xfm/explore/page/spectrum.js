/** Spectra of the map and its regions, with uPlot. */
import { DASHES, legible } from "./colours.js";
import { FONT, clamp, h, onceAFrame, styleOf } from "./dom.js";
import { shown } from "./names.js";
import { drawMarks } from "./spectrum_marks.js";
import uPlot from "./vendor/uPlot.js";

const TOP = 46; // room for three rows of labels

/** What counts are divided by; null if the live time is not known. */
export function divisorOf(per, header) {
  if (per === "pixel") return Math.max(1, header.pixels);
  if (per === "s") return header.live_time > 0 ? header.live_time : null;
  return 1;
}

/** Series in the order of the regions: {id, name, colour, dash, values, isExact}. */
function seriesOf(app, element) {
  const { regions, spectrum } = app.state;
  const ground = styleOf(element, "--ground");
  const named = [
    { id: "whole", name: "Whole map", colour: styleOf(element, "--muted"), dash: [] },
    { id: "max", name: "Most in any pixel", colour: styleOf(element, "--text"), dash: [1, 2] },
    ...regions.filter((r) => r.on).map((r) => ({
      ...r, colour: legible(r.colour, ground), dash: DASHES[regions.indexOf(r) % DASHES.length],
    })),
  ];
  return named.filter(({ id }) => app.spectra.has(id)).map((series) => {
    const { values, header, isExact } = app.spectra.get(series.id);
    // The most of any pixel is in each channel of another pixel: it has no live time.
    const divisor = divisorOf(spectrum.per, series.id === "max" ? { pixels: 1 } : header);
    const scaled = divisor === null ? [] : divisor === 1 ? values : values.map((v) => v / divisor);
    return { ...series, values: scaled, isExact };
  });
}

/** Room for the numbers at the vertical axis: 1 000 000 needs more than 100. */
function roomFor(_, values) {
  const longest = Math.max(0, ...(values ?? []).map((value) => value.length));
  return Math.max(56, 18 + 7 * longest);
}

export function createSpectrum(app) {
  const { store } = app;
  const box = h("div.plot");
  const chart = {
    element: box, plot: null, series: [], marks: [], faint: [], cursor: null, window: null,
  };
  let built = ""; // what the plot was built for
  let drawn = 0;

  chart.xs = () => {
    const n = app.info.shape[2];
    return Float64Array.from({ length: n }, (_, i) => (app.energyOf ? app.energyOf(i) : i));
  };
  chart.channelAt = (x) => Math.round(app.energyOf ? app.channelOf(x) : x);
  chart.xOf = (channel) => (app.energyOf ? app.energyOf(channel) : channel);
  chart.full = () => [chart.xOf(0), chart.xOf(app.info.shape[2] - 1)];
  chart.range = () => app.state.spectrum.x ?? chart.full();

  function options(series, y) {
    const [text, grid] = [styleOf(box, "--text"), styleOf(box, "--grid")];
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 },
      font: FONT, labelFont: FONT, labelSize: 18 };
    return {
      width: box.clientWidth, height: box.clientHeight, padding: [TOP, 12, 0, 0],
      legend: { show: false },
      cursor: { drag: { setScale: false, x: false, y: false }, points: { show: false }, y: false },
      scales: {
        x: { time: false, range: () => chart.range() },
        y: { ...SCALES[y], range: (_, min, max) => rangeOf(y, min, max) },
      },
      axes: [
        { ...axis, size: 34, label: app.energyOf ? "Energy (keV)" : "Channel",
          values: (_, splits) => splits.map((v) => shown(v)) },
        { ...axis, size: roomFor, label: LABELS[app.state.spectrum.per],
          filter: (_, splits) => splits,
          ...(y === "log" ? { splits: (_, __, min, max) => decades(min, max) } : {}),
          values: (_, splits) => splits.map((v) => (v === null ? "" : tick(v, y))) },
      ],
      series: [{}, ...series.map(({ name, colour, dash, id }) => ({
        label: name, stroke: colour, dash, points: { show: false },
        width: id === app.state.active ? 2 : 1.4,
      }))],
      hooks: { draw: [(plot) => drawMarks(plot, app, chart)] },
    };
  }

  function data(y) {
    const least = y === "log" ? leastOf(chart.series) : 0;
    const n = app.info.shape[2];
    return [chart.xs(), ...chart.series.map(({ values }) => {
      if (!values.length) return new Float64Array(n).fill(NaN);
      return y === "log" ? values.map((v) => (v > least ? v : least)) : values;
    })];
  }

  chart.update = onceAFrame(() => {
    if (!app.info || !box.clientWidth || !box.clientHeight) return;
    chart.series = seriesOf(app, box);
    const { spectrum, active } = app.state;
    const look = chart.series.map(({ id, name, colour }) => [id, name, colour]);
    const wanted = JSON.stringify([look, spectrum.y, spectrum.per, active, app.isDark(),
      app.energyOf ? 1 : 0]);
    box.dataset.series = chart.series.map((s) => s.id).join(" ");
    box.dataset.exact = chart.series.every((s) => s.isExact);
    box.dataset.updates = ++drawn;
    if (wanted === built) chart.plot.setData(data(spectrum.y));
    else if (chart.plot?.over.matches(":active")) setTimeout(chart.update, 99);
    else {
      chart.plot?.destroy();
      chart.plot = new uPlot(options(chart.series, spectrum.y), data(spectrum.y), box);
      built = wanted;
      chart.onBuilt?.(chart.plot);
    }
    app.emit("drawn");
  });
  chart.redraw = () => chart.plot?.redraw(false);
  chart.rescale = () => {
    if (!chart.plot) return;
    const [min, max] = chart.range();
    chart.plot.setScale("x", { min, max });
  };
  chart.setX = (x) => {
    const [low, high] = chart.full();
    let next = null;
    if (x && x[1] - x[0] < high - low) {
      const size = Math.max(x[1] - x[0], (8 * (high - low)) / app.info.shape[2]);
      const first = clamp(x[0], low, high - size);
      next = [first, first + size];
    }
    app.setSpectrum({ x: next }, { merge: "zoom" });
  };

  new ResizeObserver(() => {
    if (chart.plot && box.clientWidth) {
      chart.plot.setSize({ width: box.clientWidth, height: box.clientHeight });
    } else chart.update();
  }).observe(box);
  app.on("spectra", chart.update);
  app.on("lines", chart.redraw);
  app.on("dark", chart.update);
  store.on((state, has) => {
    if (has("regions", "spectrum", "active")) chart.update();
    if (has("spectrum")) chart.rescale();
    if (has("energy")) {
      built = "";
      chart.update();
    }
    if (has("window", "image", "elements")) chart.redraw();
  });
  return chart;
}

const SCALES = {
  lin: {},
  sqrt: { distr: 100, fwd: (v) => Math.sqrt(Math.max(0, v)), bwd: (v) => v * v },
  log: { distr: 3 },
};
const LABELS = { sum: "Counts", pixel: "Counts per pixel", s: "Counts per second" };

function rangeOf(y, min, max) {
  if (!(max > 0)) return y === "log" ? [0.5, 10] : [0, 1];
  return y === "log" ? [Math.min(min, max / 10), max * 1.5] : [0, max * 1.05];
}

function leastOf(series) {
  let least = Infinity;
  for (const { values } of series) {
    for (let i = 0; i < values.length; i++) if (values[i] > 0 && values[i] < least) least = values[i];
  }
  return Number.isFinite(least) ? least / 2 : 0.5;
}

function decades(min, max) {
  const [first, last] = [Math.ceil(Math.log10(min)), Math.floor(Math.log10(max))];
  if (last - first < 2) return finer(min, max, first - 1, last);
  const step = Math.max(1, Math.ceil((last - first) / 6));
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, k) => 10 ** (first + k * step));
}

function finer(min, max, first, last) {
  const found = [];
  for (let power = first; power <= last; power++) found.push(...[1, 2, 5].map((k) => k * 10 ** power));
  return found.filter((v) => v >= min && v <= max);
}

const raised = (power) => String(power).replace(/[-\d]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));

function tick(v, y) {
  const power = Math.floor(Math.log10(v) + 1e-9);
  if (y === "log" && (v >= 1e4 || v < 1e-2)) {
    const digit = Math.round(v / 10 ** power);
    return `${digit > 1 ? `${digit}·` : ""}10${raised(power)}`;
  }
  if (v >= 1e6) return `${shown(v / 1e6, 3)} M`;
  return shown(v, 3);
}
