/** The pixels of a region, for outlines, sizes while dragging and brushing. */

/** One byte a pixel, or null if an image that the region needs is not here yet. */
export function maskOf(terms, height, width, imageOf) {
  const mask = new Uint8Array(height * width);
  for (const term of terms) {
    const value = term.minus ? 0 : 1;
    if (!PAINTERS[term.kind](mask, term, value, { height, width, imageOf })) return null;
  }
  return mask;
}

export function countOf(mask) {
  let n = 0;
  for (let i = 0; i < mask.length; i++) n += mask[i];
  return n;
}

/** First and stop of the pixels whose centres lie between two places. */
function span(from, to, size) {
  return [Math.max(0, Math.ceil(from - 0.5)), Math.min(size, Math.ceil(to - 0.5))];
}

const PAINTERS = {
  r(mask, t, value, { height, width }) {
    const [first, stop] = span(t.x0, t.x1, width);
    const [top, bottom] = span(t.y0, t.y1, height);
    for (let y = top; y < bottom && stop > first; y++) {
      mask.fill(value, y * width + first, y * width + stop);
    }
    return true;
  },
  o(mask, t, value, { height, width }) {
    const [top, bottom] = span(t.cy - t.ry, t.cy + t.ry + 1, height);
    for (let y = top; y < bottom; y++) {
      const part = (y + 0.5 - t.cy) / t.ry;
      for (let x = Math.max(0, Math.floor(t.cx - t.rx)); x < Math.min(width, t.cx + t.rx); x++) {
        const across = (x + 0.5 - t.cx) / t.rx;
        if (part * part + across * across <= 1) mask[y * width + x] = value;
      }
    }
    return true;
  },
  p(mask, { points }, value, { height, width }) {
    const ys = points.map((p) => p[0]);
    const [top, bottom] = span(Math.min(...ys), Math.max(...ys), height);
    for (let y = top; y < bottom; y++) {
      const crossings = crossingsOf(points, y + 0.5);
      for (let i = 0; i + 1 < crossings.length; i += 2) {
        const [first, stop] = span(crossings[i], crossings[i + 1], width);
        if (stop > first) mask.fill(value, y * width + first, y * width + stop);
      }
    }
    return true;
  },
  t: (mask, t, value, { imageOf }) => within(mask, value, [[imageOf(t.of), t.low, t.high]]),
  b: (mask, t, value, { imageOf }) => within(mask, value,
    [[imageOf(t.x), t.xLow, t.xHigh], [imageOf(t.y), t.yLow, t.yHigh]]),
  c: (mask, t, value, { imageOf }) => within(mask, value, [[imageOf("class"), t.label, t.label]]),
};

/** Pixels of which each image is between two values; false without one of the images. */
function within(mask, value, images) {
  if (!images.every(([image]) => image)) return false;
  const inside = new Uint8Array(mask.length).fill(1);
  for (const [image, low, high] of images) {
    for (let i = 0; i < mask.length; i++) if (!(image[i] >= low && image[i] <= high)) inside[i] = 0;
  }
  for (let i = 0; i < mask.length; i++) if (inside[i]) mask[i] = value;
  return true;
}

/** Where the sides of a polygon cross a row, in their order (even-odd rule). */
function crossingsOf(points, y) {
  const found = [];
  points.forEach(([ay, ax], i) => {
    const [by, bx] = points[(i + 1) % points.length];
    if (ay <= y === by <= y) return;
    const [y0, x0, y1, x1] = ay < by ? [ay, ax, by, bx] : [by, bx, ay, ax];
    found.push(x0 + (y - y0) * ((x1 - x0) / (y1 - y0)));
  });
  return found.sort((a, b) => a - b);
}

export function imagesOf(terms) {
  return terms.flatMap((t) => ({ t: [t.of], b: [t.x, t.y], c: ["class"] })[t.kind] ?? []);
}

/** Sum, mean, standard deviation, least and most of an image's pixels in a region. */
export function statistics(image, mask) {
  let [n, sum, squares, min, max] = [0, 0, 0, Infinity, -Infinity];
  for (let i = 0; i < image.length; i++) {
    const v = image[i];
    if (!mask[i] || Number.isNaN(v)) continue;
    n++;
    sum += v;
    squares += v * v;
    if (v < min) min = v;
    if (v > max) max = v;
  }
  const mean = sum / n;
  return { n, sum, mean, deviation: Math.sqrt(Math.max(0, squares / n - mean * mean)), min, max };
}
