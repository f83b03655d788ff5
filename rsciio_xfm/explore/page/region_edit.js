/** Regions are made, changed and taken away: by mouse, keyboard, histogram, scatter, classes. */
import { nextColour } from "./colours.js";
import { dragged } from "./dom.js";
import { boundsOfAll, formatRegion, isDrawn, moved, parseRegion, placed } from "./regions.js";

const MOST = 24;

/** {name, id} of a region that is to be made: Region 1, Region 2, ... */
function newName(regions, word) {
  for (let n = 1; ; n++) {
    const name = `${word} ${n}`;
    if (!regions.some((r) => r.name === name)) return name;
  }
}
function newId(regions) {
  const numbers = regions.map((r) => Number(r.id.slice(1)) || 0);
  return `r${Math.max(0, ...numbers) + 1}`;
}

export function withRegion(state, region, { name = null, colour = null } = {}) {
  const added = {
    id: newId(state.regions),
    name: name ?? newName(state.regions, "Region"),
    colour: colour ?? nextColour(state.regions),
    on: true,
    region,
  };
  return { regions: [...state.regions, added].slice(-MOST), active: added.id };
}

export function withChanged(state, id, change) {
  return { regions: state.regions.map((r) => (r.id === id ? { ...r, ...change(r) } : r)) };
}

export const activeOf = (state) => state.regions.find((r) => r.id === state.active) ?? null;

/** Begin to draw: put(term) while dragging, done(term). Modes "add" and "take" change the active region. */
export function beginTerm(app, mode) {
  const base = app.state;
  const active = activeOf(base);
  const part = (term) => {
    if (mode === "new" || !active) return withRegion(base, formatRegion([{ ...term, minus: false }]));
    const terms = [...parseRegion(active.region), { ...term, minus: mode === "take" }];
    return withChanged(base, active.id, () => ({ region: formatRegion(terms), on: true }));
  };
  return {
    put: (term) => app.store.set(part(term), { live: true }),
    done: (term) => app.store.set(part(term)),
    cancel: () => app.store.cancel(),
  };
}

/**
 * A drag on a canvas makes a term: begin(event) returns what makes it of the place of the mouse,
 * or null; end() when it is let go.
 */
export function brushed(app, canvas, begin, end) {
  canvas.addEventListener("pointerdown", (event) => {
    const make = event.button === 0 ? begin(event) : null;
    if (!make) return;
    const term = beginTerm(app, app.mode);
    dragged(canvas, event, (moving) => term.put(make(moving)), (last, isDrag) => {
      if (isDrag) term.done(make(last));
      else term.cancel();
      end();
    });
  });
}

/** Move or stretch the active region that was drawn; false if there is none. */
export function nudge(app, dy, dx, stretch = false) {
  const active = activeOf(app.state);
  if (!active || !isDrawn(parseRegion(active.region))) return false;
  const terms = parseRegion(active.region);
  let next = moved(terms, dy, dx);
  if (stretch) {
    const [y0, x0, y1, x1] = boundsOfAll(terms);
    const to = [y0, x0, Math.max(y0 + 1, y1 + dy), Math.max(x0 + 1, x1 + dx)];
    next = placed(terms, [y0, x0, y1, x1], to);
  }
  const change = withChanged(app.state, active.id, () => ({ region: formatRegion(next) }));
  app.store.set(change, { merge: `nudge ${active.id}` });
  app.tellRegion();
  return true;
}

export function remove(app, id) {
  const state = app.state;
  const at = state.regions.findIndex((r) => r.id === id);
  if (at < 0) return;
  const regions = state.regions.filter((r) => r.id !== id);
  const next = regions[Math.min(at, regions.length - 1)];
  app.store.set({ regions, active: state.active === id ? next?.id ?? null : state.active });
}

export function chooseNext(app, step = 1) {
  const { regions, active } = app.state;
  if (!regions.length) return;
  const at = regions.findIndex((r) => r.id === active);
  const next = (at + step + regions.length) % regions.length;
  app.store.set({ active: regions[next].id }, { step: false });
  app.tellRegion();
}
