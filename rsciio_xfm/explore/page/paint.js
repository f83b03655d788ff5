/** Images of numbers as pixels: contrast, gamma, colour map, three in RGB, ratio. */
import { CLASS_COLOURS, pixel, rgbOf } from "./colours.js";

const MOST_SORTED = 65536;
const NOTHING = pixel(128, 128, 128, 255);

/** Values of an image, sorted; of a large one some. */
export function sortedSample(image, most = MOST_SORTED) {
  const step = Math.max(1, Math.floor(image.length / most));
  const sample = new Float64Array(Math.ceil(image.length / step));
  let n = 0;
  for (let i = 0; i < image.length; i += step) if (!Number.isNaN(image[i])) sample[n++] = image[i];
  return sample.subarray(0, n).sort();
}

/** [low, high] of an image by percentiles; never equal. */
export function limitsOf(sorted, { low, high }) {
  if (!sorted.length) return [0, 1];
  const at = (percent) => sorted[Math.round((percent / 100) * (sorted.length - 1))];
  const [a, b] = [at(low), at(high)];
  if (b > a) return [a, b];
  const last = sorted[sorted.length - 1];
  return last > a ? [a, last] : [a - (a && 0.5), a + 0.5];
}

const stepsOf = (gamma) => Uint32Array.from({ length: 1025 }, (_, i) => Math.round(255 * (i / 1024) ** (1 / gamma)));

/** For each pixel one of 1025 values, or another where there is no number. */
function levels(image, [low, high], values, nothing) {
  const out = new Uint32Array(image.length);
  const scale = 1024 / (high - low);
  for (let i = 0; i < out.length; i++) {
    const at = (image[i] - low) * scale;
    out[i] = at > 0 ? values[at < 1024 ? at | 0 : 1024] : at <= 0 ? values[0] : nothing;
  }
  return out;
}

export const paintOne = (image, limits, gamma, table) =>
  levels(image, limits, stepsOf(gamma).map((step) => table[step]), NOTHING);

/** Three images; `limits` and `gammas` of each. */
export function paintRgb(images, limits, gammas) {
  const [red, green, blue] = images.map((image, k) => levels(image, limits[k], stepsOf(gammas[k]), 0));
  return red.map((value, i) => pixel(value, green[i], blue[i]));
}

export function paintClasses(labels) {
  const colours = CLASS_COLOURS.map((colour) => pixel(...rgbOf(colour)));
  return Uint32Array.from(labels, (k) => (k < 0 ? NOTHING : colours[k % colours.length]));
}

/** Of sums of step x step pixels the means; there are fewer pixels at the borders. */
export function meansOf(sums, [height, width], step) {
  const out = new Float32Array(sums.length);
  for (let i = 0, y = 0; y < height; y += step) {
    const rows = Math.min(step, height - y);
    for (let x = 0; x < width; x += step, i++) out[i] = sums[i] / (rows * Math.min(step, width - x));
  }
  return out;
}

/** The ratio of two images; no number where the second has nothing. */
export const ratioOf = (a, b) => Float32Array.from(a, (v, i) => (b[i] > 0 ? v / b[i] : NaN));

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
