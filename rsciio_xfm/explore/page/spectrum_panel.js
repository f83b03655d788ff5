/** The spectrum with its buttons, the legend and the line that says what is under the mouse. */
import { coloured, fill, h, segments, space } from "./dom.js";
import { createPeaks } from "./peaks.js";
import { createSpectrum, divisorOf } from "./spectrum.js";
import { addSpectrumMouse, readout } from "./spectrum_mouse.js";

export function createSpectrumPanel(app) {
  const { store } = app;
  const chart = createSpectrum(app);
  const peaks = createPeaks(app, chart);
  app.chart = chart;
  const bar = h("div.bar");
  const legend = h("div.legend", { label: "Spectra shown" });
  const line = h("div.readout", { "aria-live": "polite" });
  const frame = h("div.plot-box", {
    tabindex: 0, role: "application", key: "spectrum",
    label: "Spectrum. Arrow keys move the cross, Enter asks which line it is, [ and ] set " +
      "the window; ? for all keys.",
  }, chart.element, legend, peaks.element);
  const element = h("section.spectrum", { label: "Spectrum" }, bar, frame, line);

  const hint = () => (app.energyOf || !app.info
    ? "Drag: image of these energies. Click a peak: its element. Wheel: zoom."
    : "No energies yet: press Calibrate, then click two peaks that you know.");
  const say = (channel) => {
    line.textContent = channel === null ? hint() : readout(app, chart, channel);
  };
  addSpectrumMouse(app, chart, { onPeak: (channel, event) => peaks.open(channel, event), onHover: say });
  chart.addKeys(frame);
  frame.addEventListener("keydown", (event) => event.key === "Escape" && !peaks.element.hidden && peaks.close());
  say(null);

  const set = app.setSpectrum;
  const toggle = (text, title, pressed, onclick, key) => h("button", { title, pressed, onclick, key }, text);

  function draw() {
    const { spectrum, energy } = app.state;
    const headers = [...app.spectra.values()].map((s) => s.header);
    const noTime = headers.length > 0 && headers.every((header) => divisorOf("s", header) === null);
    fill(bar,
      segments("Vertical axis", [
        ["lin", "Lin", "Linear axis"], ["sqrt", "√", "Square root: noise is equally wide everywhere"],
        ["log", "Log", "Logarithmic axis"],
      ], spectrum.y, (y) => set({ y })),
      segments("Counts", [
        ["sum", "Sum", "All counts of a region"],
        ["pixel", "/ pixel", "Per pixel: regions of different size can be compared"],
        ["s", "/ s", noTime ? "The file does not say its live time" : "Per second of the live time of the region's pixels"],
      ], spectrum.per, (per) => set({ per })),
      toggle("Whole map", "Show the spectrum of the whole map too", spectrum.whole,
        () => set({ whole: !spectrum.whole }), "whole"),
      toggle("Max", "Show the most that any pixel has in each channel: rare elements stand out",
        spectrum.max, () => set({ max: !spectrum.max }), "max"),
      space(),
      toggle("Zoom", "Drag enlarges (also Shift and drag); double click shows all", app.zooming,
        () => {
          app.zooming = !app.zooming;
          draw();
        }, "zooming"),
      spectrum.x ? toggle("All", "Show all energies", false, () => chart.setX(null), "all") : null,
      toggle(app.calibrating ? "Stop" : "Calibrate", "Energies from two peaks that you know",
        app.calibrating, () => app.setCalibrating(!app.calibrating), "calibrate"),
      energy ? toggle(app.info?.energy ? "File's energies" : "No energies", "Leave your own calibration", false,
        () => store.set({ energy: null }), "energies") : null);
  }
  function drawLegend() {
    fill(legend, chart.series.map(({ name, colour, isExact, values, dash }) => h("div",
      swatchOf(colour, dash), name, isExact ? "" : " ≈",
      values.length ? "" : " (no live time)")));
  }
  function swatchOf(colour, dash) {
    const swatch = coloured(h("span.key", { "aria-hidden": "true" }), colour, "borderTopColor");
    swatch.style.borderTopStyle = dash.length ? (dash[0] > 2 ? "dashed" : "dotted") : "solid";
    return swatch;
  }
  store.on((_, has) => has("spectrum", "energy") && draw());
  app.on("calibrating", () => {
    draw();
    line.textContent = app.calibrating ? "Calibrate: click a peak whose line you know." : hint();
  });
  app.on("drawn", drawLegend);
  app.on("info", () => {
    draw();
    say(null);
  });
  draw();
  return element;
}
