/** A peak was clicked: which line may it be? Its image, or one of two lines to calibrate by. */
import { clamp, fill, h, iconButton, placeOn, space } from "./dom.js";
import { lineLabel, parseLine, shown } from "./names.js";

const MOST_DOUBT = 0.001; // of a gain: 10 eV at 10 keV

export function createPeaks(app, chart) {
  const { store } = app;
  const element = h("div.popover", { role: "dialog", label: "Which line is it?",
    hidden: true });
  let pairs = []; // [line, channel] of the calibration so far
  let back = null;

  function close() {
    element.hidden = true;
    chart.faint = [];
    chart.redraw();
    back?.focus();
  }
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const buttons = [...element.querySelectorAll("button.xfm-line")];
      const at = buttons.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
      buttons[(at + buttons.length) % buttons.length]?.focus();
      event.preventDefault();
    }
    event.stopPropagation();
  });

  async function open(channel, event) {
    const x = event ? placeOn(chart.element, event).sx : chart.plot.valToPos(chart.xOf(channel), "x") + 60;
    element.style.left = `${clamp(x + 12, 8, Math.max(8, chart.element.clientWidth - 270))}px`;
    back = chart.focusable;
    let found = [];
    if (app.energyOf) {
      try {
        found = (await app.data.ask("candidates", { energy: app.energyOf(channel).toFixed(4) })).json;
      } catch (error) {
        app.tell(error);
      }
    }
    show(channel, found);
  }

  function show(place, found) {
    const energy = app.energyOf ? `${app.energyOf(place).toFixed(3)} keV` : `Channel ${place}`;
    const title = app.calibrating
      ? `${energy}: which line is it? (${pairs.length + 1} of 2)` : energy;
    const doubt = found.length && found.reduce((sum, c) => sum + c.likely, 0) < 0.4
      ? h("p.muted", "There is hardly a peak here.") : [];
    const buttons = found.slice(0, 6).map((c) => candidateButton(c, place));
    const nothing = app.energyOf ? "No line lies near." :
      "This map has no energies: name the line by which it is to be calibrated.";
    fill(element,
      h("div.row", h("strong", title), space(),
        iconButton("remove", "Close", close)),
      doubt, buttons.length ? buttons : h("p.muted", nothing),
      lineInput(place));
    element.hidden = false;
    (element.querySelector("button.xfm-line") ?? element.querySelector("input")).focus();
  }

  function candidateButton(candidate, place) {
    const { line, energy, likely, others } = candidate;
    const point = () => {
      chart.faint = [{ line, energy, weight: 1, isFaint: true },
        ...(others ?? []).map((other) => ({ ...other, isFaint: true }))];
      chart.redraw();
    };
    const per = Math.round(100 * (likely ?? 0));
    const meter = h("meter", { min: 0, max: 1, value: likely ?? 0, "aria-hidden": "true" });
    return h("button.line", {
      onfocus: point, onmouseenter: point,
      onclick: () => choose(line, place),
      title: `Likely: ${per} of 100, judged by the element's other lines`,
    }, h("span", lineLabel(line)), h("span.muted", `${energy.toFixed(3)} keV`),
      meter);
  }

  function lineInput(place) {
    const input = h("input", { placeholder: app.energyOf ? "Another line: Fe Ka" : "Its line: Fe Ka", size: 16,
      label: "Another line, such as Fe Ka" });
    const accept = (event) => {
      event.preventDefault();
      const line = parseLine(input.value);
      input.focus();
      if (line) choose(line, place);
      else {
        input.setAttribute("aria-invalid", "true");
        app.say("Element and line: Pb La.");
      }
    };
    return h("form.row", { onsubmit: accept }, input,
      h("button", { type: "submit" }, "Take it"));
  }

  function choose(line, place) {
    close();
    if (app.calibrating || !app.energyOf) return pair(line, place);
    const element_ = line.split("_")[0];
    const { elements } = app.state;
    app.chosenLines[element_] = line;
    app.showImage(`e:${line}`, { elements: elements.includes(element_) ? elements : [...elements, element_] });
    return null;
  }

  async function pair(line, place) {
    app.setCalibrating(true);
    pairs.push([line, place]);
    if (pairs.length < 2) return app.say(`${lineLabel(line)}: now click a second peak.`);
    const query = { pairs: pairs.map((one) => one.join(":")).join(",") };
    const names = pairs.map(([name]) => lineLabel(name)).join(" and ");
    pairs = [];
    app.setCalibrating(false);
    app.say("The peaks are being fitted ...");
    try {
      const { offset, scale, channels, uncertainty: doubt } = (await app.data.ask("calibrate", query)).json;
      store.set({ energy: [offset, scale], spectrum: { ...store.get().spectrum, x: null } });
      const [gain, error] = [1000 * scale, 1000 * scale * doubt];
      const digits = error > 0 ? Math.min(Math.max(-Math.floor(Math.log10(error)), 3), 6) : 3;
      const sure = doubt === null ? "" : ` ± ${error.toFixed(digits)}`;
      const text = `Calibrated: ${gain.toFixed(digits)}${sure} eV a channel, ` +
        `the first at ${offset.toFixed(4)} keV. Undo takes it back.`;
      if (doubt < MOST_DOUBT) return app.say(text);
      const apart = Math.abs(Object.values(channels).reduce((a, b) => a - b));
      app.tell({ message: `${text} ${names} are only ${Math.round(apart)} channels apart: all energies are ` +
        `uncertain by ${shown(100 * doubt, 2)}\u00a0%. Choose lines further apart.` });
    } catch (error) {
      app.tell(error);
    }
    return null;
  }

  app.on("calibrating", () => {
    if (!app.calibrating) pairs = [];
  });
  return { element, open, close };
}
