/** What the mouse does on the map: draw, move and stretch regions, pan, zoom, read values. */
import { clamp, placeOn } from "./dom.js";
import { activeOf, beginTerm, withChanged } from "./region_edit.js";
import { between, boundsOfAll, formatRegion, isDrawn, moved, parseRegion, placed, polygon,
} from "./regions.js";

const NEAR = 7; // pixels of the screen: a corner is taken hold of, a polygon is closed

export function addPointer(app, map) {
  const { canvas } = map;
  let drag = null; // {move(place, event), up(place), cancel()}

  const at = (event) => placeOn(canvas, event);
  const placeOf = (event) => {
    const { sx, sy } = at(event);
    return map.geometry().toMap(sx, sy);
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (!app.info || drag) return;
    canvas.focus({ preventScroll: true });
    if (map.drawing?.places && event.button === 0) return addCorner(event);
    if (event.button === 2) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    drag = event.button === 1 ? pan(event) : begin(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!app.info) return;
    hover(event);
    if (map.drawing?.places && map.drawing.kind === "polygon") follow(event);
    drag?.move?.(placeOf(event), event);
  });
  canvas.addEventListener("pointerup", (event) => {
    const ended = drag;
    drag = null;
    ended?.up?.(placeOf(event), event);
  });
  canvas.addEventListener("pointercancel", () => {
    drag?.cancel?.();
    drag = null;
  });
  canvas.addEventListener("pointerleave", () => app.emit("hover", null));
  canvas.addEventListener("dblclick", () => map.drawing?.places && closePolygon());
  canvas.addEventListener("wheel", (event) => {
    if (!app.info) return;
    event.preventDefault();
    const { sx, sy } = at(event);
    map.zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), sx, sy);
  }, { passive: false });

  map.cancel = () => {
    const busy = Boolean(drag || map.drawing);
    drag?.cancel?.();
    map.drawing?.cancel();
    drag = map.drawing = null;
    map.draw();
    return busy;
  };

  function hover(event) {
    const { x, y } = placeOf(event);
    const [height, width] = app.info.shape;
    const inside = x >= 0 && y >= 0 && x < width && y < height;
    app.emit("hover", inside ? { x: Math.floor(x), y: Math.floor(y) } : null);
  }

  function begin(event) {
    const mode = event.shiftKey ? "add" : event.altKey ? "take" : app.mode;
    if (app.tool === "rectangle" || app.tool === "ellipse") return shape(event, mode);
    if (app.tool === "lasso") return lasso(event, mode);
    if (app.tool === "polygon") return corners(event, mode);
    return hold(event) ?? pan(event);
  }

  function shape(event, mode) {
    const kind = app.tool === "rectangle" ? "r" : "o";
    const [start, term] = [within(placeOf(event)), beginTerm(app, mode)];
    let put = false;
    return {
      move(place) {
        put = true;
        term.put(between(kind, start, within(place)));
      },
      up(place) {
        if (put) term.done(between(kind, start, within(place)));
        else choose(start);
      },
      cancel: term.cancel,
    };
  }

  function lasso(event, mode) {
    const places = [placeOf(event)];
    const term = beginTerm(app, mode);
    return {
      move(place) {
        places.push(place);
        const drawn = polygon(places);
        if (drawn) term.put(drawn);
      },
      up() {
        const drawn = polygon(places);
        if (drawn) term.done(drawn);
        else choose(places[0]);
      },
      cancel: term.cancel,
    };
  }

  function corners(event, mode) {
    map.startPolygon(placeOf(event), mode);
    return {};
  }
  /** A polygon is drawn corner by corner; the last place follows the mouse. */
  map.startPolygon = (place, mode = app.mode) => {
    const term = beginTerm(app, mode);
    map.drawing = { kind: "polygon", places: [place, place], term, cancel: term.cancel };
    map.draw();
  };
  map.addCorner = (place) => {
    const { places, term } = map.drawing;
    places.splice(places.length - 1, 1, place, place);
    const drawn = polygon(places.slice(0, -1));
    if (drawn) term.put(drawn);
    map.draw();
  };
  map.closePolygon = closePolygon;

  function addCorner(event) {
    const geometry = map.geometry();
    const [first] = map.drawing.places;
    const [fx, fy] = geometry.toScreen(first.y, first.x);
    const { sx, sy } = at(event);
    if (Math.hypot(sx - fx, sy - fy) < NEAR && map.drawing.places.length > 3) closePolygon();
    else map.addCorner(placeOf(event));
  }
  function follow(event) {
    const { places } = map.drawing;
    places[places.length - 1] = placeOf(event);
    map.draw();
  }
  function closePolygon() {
    const { places, term } = map.drawing;
    const distinct = places.slice(0, -1).filter((p, i, all) =>
      !i || Math.hypot(p.x - all[i - 1].x, p.y - all[i - 1].y) > 0.01);
    map.drawing = null;
    const drawn = polygon(distinct);
    if (drawn) term.done(drawn);
    else term.cancel();
    map.draw();
  }

  /** The move tool takes hold of a corner or of the inside of a region. */
  function hold(event) {
    const start = placeOf(event);
    const corner = cornerAt(event);
    if (!corner) choose(start);
    const active = activeOf(app.state);
    if (!active || (!corner && !isInside(active, start))) return null;
    const terms = parseRegion(active.region);
    if (!isDrawn(terms)) return null;
    const next = (place) => {
      const [dy, dx] = [Math.round(place.y - start.y), Math.round(place.x - start.x)];
      return corner ? stretched(terms, corner, dy, dx) : moved(terms, dy, dx);
    };
    let put = false;
    const set = (place, options) => app.store.set(
      withChanged(app.state, active.id, () => ({ region: formatRegion(next(place)) })), options);
    return {
      move(place) {
        put = true;
        set(place, { live: true });
      },
      up: (place) => put && set(place),
      cancel: () => app.store.cancel(),
    };
  }
  function cornerAt(event) {
    const active = activeOf(app.state);
    if (!active?.on || !isDrawn(parseRegion(active.region))) return null;
    const [y0, x0, y1, x1] = boundsOfAll(parseRegion(active.region));
    const geometry = map.geometry();
    const { sx, sy } = at(event);
    for (const [iy, y] of [[0, y0], [2, y1]]) {
      for (const [ix, x] of [[1, x0], [3, x1]]) {
        const [cx, cy] = geometry.toScreen(y, x);
        if (Math.hypot(sx - cx, sy - cy) <= NEAR) return { iy, ix };
      }
    }
    return null;
  }

  function pan(event) {
    let last = at(event);
    return {
      move(_, moving) {
        const now = at(moving);
        map.pan(now.sx - last.sx, now.sy - last.sy);
        last = now;
      },
    };
  }

  function isInside(region, { x, y }) {
    const [height, width] = app.info.shape;
    if (x < 0 || y < 0 || x >= width || y >= height) return false;
    return Boolean(app.maskOf(region.region)?.[Math.floor(y) * width + Math.floor(x)]);
  }
  function choose(place) {
    const found = app.state.regions.findLast((r) => r.on && isInside(r, place));
    if (found) app.store.set({ active: found.id }, { step: false });
  }
  function within({ x, y }) {
    const [height, width] = app.info.shape;
    return { x: clamp(x, 0, width - 1e-6), y: clamp(y, 0, height - 1e-6) };
  }
}

function stretched(terms, { iy, ix }, dy, dx) {
  const from = boundsOfAll(terms);
  const to = [...from];
  to[iy] += dy;
  to[ix] += dx;
  if (to[2] - to[0] < 1 || to[3] - to[1] < 1) return terms;
  return placed(terms, from, to);
}
