/** In the spectrum: drag a window, click a peak, zoom, pan; all of it by keyboard too. */
import { clamp, dragged, placeOn } from "./dom.js";
import { shown } from "./names.js";

const EDGE = 6; // pixels from the border of the window: it is taken hold of

export function addSpectrumMouse(app, chart, { onPeak, onHover }) {
  const xAt = (over, event) => chart.plot.posToVal(placeOn(over, event).sx, "x");

  /** Set the window while dragging or for good; its image is shown. */
  function setWindow(a, b, live = false) {
    const n = app.info.shape[2];
    const [low, high] = [Math.min(a, b), Math.max(a, b)].map((c) => clamp(c, 0, n - 1));
    const range = [low, high + 1];
    app.showImage(`w:${range.join(":")}`, { window: range }, { live });
  }

  chart.onBuilt = (plot) => {
    const { over } = plot;
    over.addEventListener("pointerdown", (event) => start(over, event));
    over.addEventListener("dblclick", () => chart.setX(null));
    over.addEventListener("pointermove", (event) => {
      const channel = chart.channelAt(xAt(over, event));
      onHover(channel);
      over.classList.toggle("xfm-edge", edgeAt(over, event) !== null);
    });
    over.addEventListener("pointerleave", () => onHover(null));
    over.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoom(Math.exp(event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), xAt(over, event));
    }, { passive: false });
  };

  function zoom(factor, at) {
    const [low, high] = chart.range();
    chart.setX([at - (at - low) * factor, at + (high - at) * factor]);
  }
  function pan(part) {
    const [low, high] = chart.range();
    const shift = (high - low) * part;
    chart.setX([low + shift, high + shift]);
  }

  /** The other end of the window, if the mouse is at its border. */
  function edgeAt(over, event) {
    const { window: range } = app.state;
    if (!range || !/^w:/.test(app.state.image)) return null;
    const { sx } = placeOn(over, event);
    const [a, b] = [range[0] - 0.5, range[1] - 0.5].map((c) => chart.plot.valToPos(chart.xOf(c), "x"));
    const [near, far] = [Math.abs(sx - a), Math.abs(sx - b)];
    if (Math.min(near, far) >= EDGE) return null;
    return near < far ? range[1] - 1 : range[0];
  }

  function start(over, event) {
    if (event.button === 2) return;
    event.preventDefault();
    chart.focusable.focus({ preventScroll: true });
    const isPan = event.button === 1 || event.altKey;
    const isZoom = event.shiftKey || app.zooming;
    const from = edgeAt(over, event) ?? chart.channelAt(xAt(over, event));
    const range = chart.range();
    const width = over.clientWidth;
    const move = (moving) => {
      const dx = moving.clientX - event.clientX;
      const to = chart.channelAt(xAt(over, moving));
      if (isPan) {
        const shift = (-dx / width) * (range[1] - range[0]);
        chart.setX([range[0] + shift, range[1] + shift]);
      } else if (isZoom) {
        chart.window = [Math.min(from, to), Math.max(from, to) + 1];
        chart.redraw();
      } else setWindow(from, to, true);
    };
    const up = (last, isDrag) => {
      const to = chart.channelAt(xAt(over, last));
      chart.window = null;
      if (!isDrag) return onPeak(peakNear(to, over), last);
      if (isZoom && !isPan) chart.setX([chart.xOf(Math.min(from, to)), chart.xOf(Math.max(from, to))]);
      else if (!isPan) setWindow(from, to);
    };
    dragged(over, event, move, up);
  }

  /** The channel of the top of the peak that was clicked: the highest near the mouse. */
  function peakNear(channel, over) {
    const [low, high] = chart.range();
    const reach = Math.max(2, Math.round(Math.abs(chart.channelAt(low + ((high - low) * 6) / over.clientWidth) -
      chart.channelAt(low))));
    return topNear(chart, channel, reach, app);
  }

  chart.addKeys = (element) => {
    chart.focusable = element;
    element.addEventListener("focus", chart.redraw);
    element.addEventListener("blur", chart.redraw);
    element.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || !chart.plot) return;
      if (!key(event)) return;
      event.preventDefault();
      event.stopPropagation();
      chart.redraw();
    });
  };

  function key(event) {
    const n = app.info.shape[2];
    const [low, high] = chart.range().map(chart.channelAt);
    chart.cursor = clamp(chart.cursor ?? Math.round((low + high) / 2), 0, n - 1);
    const acts = {
      ArrowLeft: () => step(event.shiftKey ? -10 : -1),
      ArrowRight: () => step(event.shiftKey ? 10 : 1),
      PageUp: () => pan(0.5),
      PageDown: () => pan(-0.5),
      Home: () => step(-n),
      End: () => step(n),
      "+": () => zoom(0.7, chart.xOf(chart.cursor)),
      "=": () => zoom(0.7, chart.xOf(chart.cursor)),
      "-": () => zoom(1.4, chart.xOf(chart.cursor)),
      0: () => chart.setX(null),
      "[": () => setWindow(chart.cursor, Math.max(chart.cursor, (app.state.window?.[1] ?? 0) - 1)),
      "]": () => setWindow(Math.min(chart.cursor, app.state.window?.[0] ?? chart.cursor), chart.cursor),
      Enter: () => onPeak(topNear(chart, chart.cursor, 2, app), null),
    };
    if (!(event.key in acts)) return false;
    acts[event.key]();
    return true;
  }
  function step(by) {
    chart.cursor = clamp(chart.cursor + by, 0, app.info.shape[2] - 1);
    onHover(chart.cursor);
  }
}

function topNear(chart, channel, reach, app) {
  const values = (chart.series.find((s) => s.id === app.state.active) ?? chart.series[0])?.values;
  if (!values?.length) return channel;
  let best = clamp(channel, 0, values.length - 1);
  for (let c = Math.max(0, channel - reach); c <= Math.min(values.length - 1, channel + reach); c++) {
    if (values[c] > values[best]) best = c;
  }
  return best;
}

/** What the spectra are at a channel, for the line below them. */
export function readout(app, chart, channel) {
  if (channel === null || !chart.series.length) return "";
  const place = app.energyOf ? `${app.energyOf(channel).toFixed(3)} keV, channel ${channel}` : `Channel ${channel}`;
  const values = chart.series.slice(0, 4)
    .filter((s) => s.values.length)
    .map((s) => `${s.name} ${s.isExact ? "" : "≈ "}${shown(s.values[channel])}`);
  return [place, ...values].join(" · ");
}
