/** A scale bar of a round length, and lengths with their units. */
import { box, write } from "./dom.js";
import { shown } from "./names.js";

const MICROMETRES = { nm: 1e-3, µm: 1, μm: 1, um: 1, mm: 1e3, cm: 1e4, m: 1e6 };

/** Micrometres of the unit in which pixels are told, if it is one of length. */
const factorOf = (pixel) => MICROMETRES[pixel?.units];

/** 1, 2 or 5 times a power of ten, at most `most`. */
export function roundLength(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].find((digit) => digit * power <= most * (1 + 1e-9)) * power;
}

/** {pixels, text} of a bar not longer than `most` pixels of the screen. */
export function scaleBar(pixel, zoom, most) {
  const factor = factorOf(pixel);
  if (!factor) {
    const length = Math.max(1, roundLength(most / zoom));
    return { pixels: length * zoom, text: `${length} pixel${length > 1 ? "s" : ""}` };
  }
  const size = pixel.size_x * factor; // of one pixel, in micrometres
  const length = roundLength((most / zoom) * size);
  return { pixels: (length / size) * zoom, text: lengthText(length) };
}

export function lengthText(um) {
  const tidy = (v) => String(Number(v.toPrecision(3)));
  if (um >= 1e4) return `${tidy(um / 1e4)} cm`;
  if (um >= 1e3) return `${tidy(um / 1e3)} mm`;
  if (um >= 1) return `${tidy(um)} µm`;
  return `${tidy(um * 1e3)} nm`;
}

/** Area of so many pixels, null without their size. */
export function areaText(pixels, pixel) {
  const factor = factorOf(pixel);
  if (!factor) return null;
  const area = pixels * pixel.size_x * pixel.size_y * factor * factor;
  const tidy = (v) => shown(Number(v.toPrecision(3)));
  return area >= 1e5 ? `${tidy(area / 1e6)} mm²` : `${tidy(area)} µm²`;
}

/** "600 px", with the area where the size of a pixel is known. */
export function sizeText(pixels, pixel) {
  const area = areaText(pixels, pixel);
  return `${shown(pixels)} px${area ? ` · ${area}` : ""}`;
}

export function drawScaleBar(context, { pixels, text }, { x, y, scale = 1 }) {
  context.font = `600 ${13 * scale}px system-ui, sans-serif`;
  const width = Math.max(pixels, context.measureText(text).width) + 14 * scale;
  box(context, "rgba(0, 0, 0, 0.6)", [x, y - 32 * scale, width, 32 * scale]);
  box(context, "#fff", [x + 7 * scale, y - 12 * scale, pixels, 5 * scale]);
  write(context, text, [x + 7 * scale, y - 17 * scale], "left alphabetic");
}
