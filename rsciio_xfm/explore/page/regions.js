/**
 * Regions as text, such as `r:0,0,10,20|-o:5,5,2,2`, and what can be done with them.
 *
 * In pixels, y (down) before x; a pixel belongs if its centre (y + 0.5, x + 0.5) lies inside.
 * Terms in their order are added or, with `-`, taken away.
 */

const MOST_VERTICES = 400;

const numbers = (text) => text.split(",").map((part) => (part.trim() ? Number(part) : NaN));
const short = (v) => String(Math.round(v * 100) / 100);
const joined = (values) => values.map(short).join(",");

const named = (...names) => ({
  parse(text) {
    const values = numbers(text);
    return Object.fromEntries(names.map((name, k) => [name, values[k] ?? NaN]));
  },
  format: (t) => joined(names.map((name) => t[name])),
});

const KINDS = {
  r: {
    ...named("y0", "x0", "y1", "x1"),
    bounds: (t) => [t.y0, t.x0, t.y1, t.x1],
    place: (t, [y0, x0, y1, x1]) => ({ ...t, y0, x0, y1, x1 }),
  },
  o: {
    ...named("cy", "cx", "ry", "rx"),
    bounds: (t) => [t.cy - t.ry, t.cx - t.rx, t.cy + t.ry, t.cx + t.rx],
    place: (t, [y0, x0, y1, x1]) => ({
      ...t, cy: (y0 + y1) / 2, cx: (x0 + x1) / 2, ry: (y1 - y0) / 2, rx: (x1 - x0) / 2,
    }),
  },
  p: {
    parse(text) {
      const points = text.split(";").map(numbers);
      return points.length > 2 && points.every((p) => p.length === 2) ? { points } : null;
    },
    format: (t) => t.points.map(joined).join(";"),
    bounds(t) {
      const y = t.points.map((p) => p[0]);
      const x = t.points.map((p) => p[1]);
      return [Math.min(...y), Math.min(...x), Math.max(...y), Math.max(...x)];
    },
    place(t, [y0, x0, y1, x1]) {
      const [a0, b0, a1, b1] = KINDS.p.bounds(t);
      const sy = (y1 - y0) / (a1 - a0 || 1);
      const sx = (x1 - x0) / (b1 - b0 || 1);
      return { ...t, points: t.points.map(([y, x]) => [y0 + (y - a0) * sy, x0 + (x - b0) * sx]) };
    },
  },
  t: {
    parse(text) {
      const at = text.lastIndexOf("@");
      const [low, high] = numbers(text.slice(at + 1));
      return { of: text.slice(0, at), low, high };
    },
    format: (t) => `${t.of}@${t.low},${t.high}`,
  },
  b: {
    parse(text) {
      const [x, xs, y, ys] = text.split("@");
      const [xLow, xHigh] = numbers(xs);
      const [yLow, yHigh] = numbers(ys);
      return { x, xLow, xHigh, y, yLow, yHigh };
    },
    format: (t) => `${t.x}@${t.xLow},${t.xHigh}@${t.y}@${t.yLow},${t.yHigh}`,
  },
  c: {
    parse: (text) => ({ label: Number(text) }),
    format: (t) => String(t.label),
  },
};

const isFine = (value) =>
  typeof value === "number" ? Number.isFinite(value)
    : Array.isArray(value) ? value.length > 0 && value.every(isFine)
      : typeof value === "boolean" || Boolean(value);

/** The terms of a region; Error if it is not one. */
export function parseRegion(text) {
  if (text === "") return [];
  return text.split("|").map((part) => {
    const minus = part.startsWith("-");
    const kind = part[minus ? 1 : 0];
    const rest = part.slice(minus ? 3 : 2);
    const term = KINDS[kind]?.parse(rest);
    if (!term || !isFine(Object.values(term))) throw new Error(`This is no region: ${part}`);
    return { kind, minus, ...term };
  });
}

export function formatRegion(terms) {
  return terms.map((t) => `${t.minus ? "-" : ""}${t.kind}:${KINDS[t.kind].format(t)}`).join("|");
}

/** [y0, x0, y1, x1] of a drawn term, null of others. */
export const boundsOf = (term) => KINDS[term.kind].bounds?.(term) ?? null;

export const isDrawn = (terms) => terms.length > 0 && terms.every((t) => boundsOf(t));

/** [y0, x0, y1, x1] of a region that was drawn, of what is not taken away. */
export function boundsOfAll(terms) {
  const all = terms.filter((t) => !t.minus).map(boundsOf);
  return [0, 1, 2, 3].map((i) => (i < 2 ? Math.min : Math.max)(...all.map((b) => b[i])));
}

/** The terms in other bounds: moved, or made larger or smaller. */
export function placed(terms, from, to) {
  const sy = (to[2] - to[0]) / (from[2] - from[0] || 1);
  const sx = (to[3] - to[1]) / (from[3] - from[1] || 1);
  const y = (v) => to[0] + (v - from[0]) * sy;
  const x = (v) => to[1] + (v - from[1]) * sx;
  return terms.map((t) => {
    const [y0, x0, y1, x1] = boundsOf(t);
    return KINDS[t.kind].place(t, [y(y0), x(x0), y(y1), x(x1)]);
  });
}

export function moved(terms, dy, dx) {
  const [y0, x0, y1, x1] = boundsOfAll(terms);
  return placed(terms, [y0, x0, y1, x1], [y0 + dy, x0 + dx, y1 + dy, x1 + dx]);
}

/** Rectangle or ellipse between two places {y, x}, both pixels included. */
export function between(kind, a, b) {
  const y0 = Math.floor(Math.min(a.y, b.y));
  const x0 = Math.floor(Math.min(a.x, b.x));
  const y1 = Math.floor(Math.max(a.y, b.y)) + 1;
  const x1 = Math.floor(Math.max(a.x, b.x)) + 1;
  return KINDS[kind].place({ kind, minus: false }, [y0, x0, y1, x1]);
}

/** Polygon through places {y, x}; null if they lie on a line. */
export function polygon(places) {
  let tolerance = 0.35;
  let points = places.map((p) => [p.y, p.x]);
  for (; points.length > MOST_VERTICES; tolerance *= 2) points = simplified(points, tolerance);
  points = simplified(points, 0.35);
  return points.length > 2 ? { kind: "p", minus: false, points } : null;
}

/** The line without points that lie nearer to it than the tolerance (Douglas and Peucker). */
function simplified(points, tolerance) {
  if (points.length < 4) return points;
  const keep = new Uint8Array(points.length);
  keep[0] = keep[points.length - 1] = 1;
  const open = [[0, points.length - 1]];
  while (open.length) {
    const [a, b] = open.pop();
    let far = tolerance;
    let at = 0;
    for (let i = a + 1; i < b; i++) {
      const d = distance(points[i], points[a], points[b]);
      if (d > far) [far, at] = [d, i];
    }
    if (at) {
      keep[at] = 1;
      open.push([a, at], [at, b]);
    }
  }
  return points.filter((_, i) => keep[i]);
}

function distance([y, x], [ay, ax], [by, bx]) {
  const length = Math.hypot(by - ay, bx - ax);
  if (length === 0) return Math.hypot(y - ay, x - ax);
  return Math.abs((by - ay) * (x - ax) - (bx - ax) * (y - ay)) / length;
}
