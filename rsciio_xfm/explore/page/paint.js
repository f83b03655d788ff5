/** Images of numbers as pixels: contrast, gamma, colour map, three in RGB, ratio. */
import { CLASS_COLOURS, pixel, rgbOf } from "./colours.js";

const MOST_SORTED = 65536;
const NOTHING = pixel(128, 128, 128, 255);

/** Values of an image, sorted; of a large one every so many pixels. */
export function sortedSample(image) {
  const step = Math.max(1, Math.floor(image.length / MOST_SORTED));
  const sample = [];
  for (let i = 0; i < image.length; i += step) {
    if (!Number.isNaN(image[i])) sample.push(image[i]);
  }
  return Float64Array.from(sample).sort();
}

/** [low, high] of an image by percentiles; never equal. */
export function limitsOf(sorted, { low, high }) {
  if (!sorted.length) return [0, 1];
  const at = (percent) => sorted[Math.round((percent / 100) * (sorted.length - 1))];
  const [a, b] = [at(low), at(high)];
  if (b > a) return [a, b];
  const last = sorted[sorted.length - 1];
  return last > a ? [a, last] : [a - 0.5, a + 0.5];
}

/** For each pixel 0 to 255, or -1 where there is no number. */
function levels(image, [low, high], gamma) {
  const out = new Int16Array(image.length);
  const steps = new Uint8Array(1025);
  for (let i = 0; i <= 1024; i++) steps[i] = Math.round(255 * (i / 1024) ** (1 / gamma));
  const scale = 1024 / (high - low);
  for (let i = 0; i < image.length; i++) {
    const at = (image[i] - low) * scale;
    out[i] = Number.isNaN(at) ? -1 : steps[at <= 0 ? 0 : at >= 1024 ? 1024 : at | 0];
  }
  return out;
}

export function paintOne(image, limits, gamma, table) {
  const found = levels(image, limits, gamma);
  const out = new Uint32Array(image.length);
  for (let i = 0; i < out.length; i++) out[i] = found[i] < 0 ? NOTHING : table[found[i]];
  return out;
}

/** Three images; `limits` and `gammas` of each. */
export function paintRgb(images, limits, gammas) {
  const parts = images.map((image, k) => levels(image, limits[k], gammas[k]));
  const out = new Uint32Array(images[0].length);
  const value = (k, i) => Math.max(0, parts[k][i]);
  for (let i = 0; i < out.length; i++) out[i] = pixel(value(0, i), value(1, i), value(2, i));
  return out;
}

export function paintClasses(labels) {
  const colours = CLASS_COLOURS.map((colour) => pixel(...rgbOf(colour)));
  const out = new Uint32Array(labels.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = labels[i] < 0 ? NOTHING : colours[labels[i] % colours.length];
  }
  return out;
}

/** An image of sums of step x step pixels as one of all pixels, each with its part. */
export function enlarged(image, [height, width], step) {
  const across = Math.ceil(width / step);
  const out = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    const [row, rows] = [Math.floor(y / step), Math.min(step, height - Math.floor(y / step) * step)];
    for (let x = 0; x < width; x++) {
      const column = Math.floor(x / step);
      const columns = Math.min(step, width - column * step);
      out[y * width + x] = image[row * across + column] / (rows * columns);
    }
  }
  return out;
}

/** The ratio of two images; no number where the second has nothing. */
export function ratioOf(a, b) {
  const out = new Float32Array(a.length);
  for (let i = 0; i < a.length; i++) out[i] = b[i] > 0 ? a[i] / b[i] : NaN;
  return out;
}

/** How many pixels have each value: `bins` counts between two limits. */
export function histogramOf(image, [low, high], bins) {
  const counts = new Uint32Array(bins);
  const scale = bins / (high - low || 1);
  for (let i = 0; i < image.length; i++) {
    const at = Math.floor((image[i] - low) * scale);
    if (at >= 0 && at < bins) counts[at]++;
    else if (image[i] === high) counts[bins - 1]++;
  }
  return counts;
}
