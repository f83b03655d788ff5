/** The map: image, regions, scale bar; where a place of the screen lies on it. */
import { colourTable } from "./colours.js";
import { clamp, h, onceAFrame, pixelRatio, prepared, putPixels } from "./dom.js";
import { drawOverlay } from "./map_overlay.js";
import { histogramOf, limitsOf, paintClasses, paintOne, paintRgb, ratioOf, sortedSample,
} from "./paint.js";
import { drawScaleBar, scaleBar } from "./scale_bar.js";

const MARGIN = 8;
const FLATTEST = 1 / 12; // a line scan is drawn at least so high, as part of its length

/** Pixels are drawn as wide and high as they were measured. */
function aspectOf({ shape: [height, width], pixel }) {
  const aspect = pixel?.size_x > 0 && pixel.size_y > 0 ? pixel.size_y / pixel.size_x : 1;
  return Math.max(clamp(aspect, 0.1, 10), (FLATTEST * width) / height);
}

/** Zoom and place of the map in a box; `view` null: all of it, in the middle. */
export function geometry(info, view, box) {
  const [height, width] = info.shape;
  const aspect = aspectOf(info);
  const all = Math.min((box.width - 2 * MARGIN) / width, (box.height - 2 * MARGIN) / (height * aspect));
  const zoom = view.zoom ?? Math.max(all, 1e-3);
  const zoomY = zoom * aspect;
  const left = box.width / 2 - (view.x ?? width / 2) * zoom;
  const top = box.height / 2 - (view.y ?? height / 2) * zoomY;
  return {
    zoom, zoomY, left, top, all,
    toScreen: (y, x) => [left + x * zoom, top + y * zoomY],
    toMap: (sx, sy) => ({ x: (sx - left) / zoom, y: (sy - top) / zoomY }),
  };
}

export function createMap(app) {
  const { store } = app;
  const canvas = h("canvas.map", {
    tabindex: 0, role: "application", key: "map",
    label: "Map. Arrow keys move the cross or the chosen region, Enter draws; ? for all keys.",
  });
  const hint = h("div.hint", { hidden: true });
  const element = h("div.map-box", canvas, hint);
  const painted = h("canvas");
  const map = { element, canvas, painted, cursor: null, drawing: null, limits: [] };
  const sorted = new WeakMap();

  const sortedOf = (image) => {
    if (!sorted.has(image)) sorted.set(image, sortedSample(image, app.shown.step > 1 ? 16384 : undefined));
    return sorted.get(image);
  };

  let ratio = { a: null, b: null, image: null };
  map.imageShown = () => {
    const { kind, answers } = app.shown;
    if (kind !== "ratio") return answers[0].image;
    const [a, b] = answers.map((answer) => answer.image);
    if (ratio.a !== a || ratio.b !== b) ratio = { a, b, image: ratioOf(a, b) };
    return ratio.image;
  };

  map.paint = () => {
    if (!app.shown) return;
    const state = app.state;
    const { kind, answers } = app.shown;
    let pixels;
    if (kind === "rgb") {
      map.limits = answers.map(({ image }, k) => limitsOf(sortedOf(image), state.rgbContrast[k]));
      pixels = paintRgb(answers.map((a) => a.image), map.limits, state.rgbContrast.map((c) => c.gamma));
    } else if (kind === "class") {
      pixels = paintClasses(answers[0].image);
    } else {
      const image = map.imageShown();
      map.limits = [limitsOf(sortedOf(image), state.contrast)];
      pixels = paintOne(image, map.limits[0], state.contrast.gamma, colourTable(state.cmap));
    }
    putPixels(painted, pixels, ...sizeShown().map(Math.ceil));
    map.draw();
  };
  /** Rows and columns of the image; of a coarse one the last ones are parts. */
  const sizeShown = () => app.info.shape.map((size) => size / (app.shown.step ?? 1));

  map.geometry = () => geometry(app.info, app.state.view, {
    width: canvas.clientWidth, height: canvas.clientHeight,
  });

  map.draw = onceAFrame(() => {
    if (!app.info || !canvas.clientWidth) return;
    const { context, width, height } = prepared(canvas);
    const place = map.geometry();
    const [h_, w] = app.info.shape;
    if (app.shown) {
      const [rows, columns] = sizeShown();
      context.imageSmoothingEnabled = place.zoom * pixelRatio() * w < columns;
      context.drawImage(painted, 0, 0, columns, rows, place.left, place.top, w * place.zoom, h_ * place.zoomY);
    }
    drawOverlay(context, app, map, place);
    const bar = scaleBar(app.info.pixel, place.zoom, Math.min(160, width / 4));
    drawScaleBar(context, bar, { x: 8, y: height - 8 });
    const text = app.hint?.() ?? "";
    hint.textContent = text;
    // Above the map where there is room, else in the line at the bottom: no pixel is covered.
    hint.hidden = !text || !app.shown || place.top < 38 || width < 430;
    app.emit("hint", hint.hidden ? text : "");
  });

  /** Counts of pixels for the histogram below the map: of one image, or of three. */
  map.histogram = (bins) => {
    const { kind, answers } = app.shown;
    const images = kind === "rgb" ? answers.map((a) => a.image) : [map.imageShown()];
    return images.map((image) => {
      const values = sortedOf(image);
      const [low, high] = [values[0] ?? 0, values[values.length - 1] ?? 1];
      if (/^Float/.test(image.constructor.name)) {
        const range = [low, high > low ? high : low + 1];
        return { range, counts: histogramOf(image, range, bins) };
      }
      // As many whole numbers in each bar, or every so many bars would be higher.
      const step = Math.max(1, Math.ceil((high - low + 1) / bins));
      const n = Math.ceil((high - low + 1) / step);
      const range = [low, low + n * step];
      return { range, counts: histogramOf(image, range, n) };
    });
  };

  map.zoomAt = (factor, sx = canvas.clientWidth / 2, sy = canvas.clientHeight / 2) => {
    const place = map.geometry();
    const fixed = place.toMap(sx, sy);
    const zoom = clamp(place.zoom * factor, place.all / 2, 64);
    if (factor < 1 && zoom <= place.all) return map.showAll();
    const aspect = place.zoomY / place.zoom;
    const x = fixed.x - (sx - canvas.clientWidth / 2) / zoom;
    const y = fixed.y - (sy - canvas.clientHeight / 2) / (zoom * aspect);
    store.set({ view: { x, y, zoom } }, { step: false });
  };
  map.pan = (dx, dy) => {
    const place = map.geometry();
    const middle = place.toMap(canvas.clientWidth / 2 - dx, canvas.clientHeight / 2 - dy);
    store.set({ view: { ...middle, zoom: place.zoom } }, { step: false });
  };
  map.showAll = () => store.set({ view: { x: null, y: null, zoom: null } }, { step: false });

  new ResizeObserver(() => map.draw()).observe(canvas);
  app.on("seen", map.paint);
  app.on("images info", map.draw);
  store.on((state, has) => {
    if (has("contrast", "rgbContrast", "cmap")) map.paint();
    else map.draw();
  });
  return map;
}
