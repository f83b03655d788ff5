/** Everything that the mouse does on the map, by keyboard. */
import { clamp } from "./dom.js";
import { beginTerm, nudge, remove } from "./region_edit.js";
import { between, polygon } from "./regions.js";

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export function addMapKeys(app, map) {
  const { canvas } = map;
  let corner = null; // {y, x, term}: where a rectangle, ellipse or lasso was begun

  const middle = () => {
    const place = map.geometry().toMap(canvas.clientWidth / 2, canvas.clientHeight / 2);
    return { y: Math.floor(place.y), x: Math.floor(place.x) };
  };
  const kind = () => (app.tool === "ellipse" ? "o" : "r");
  const centre = ({ y, x }) => ({ y: y + 0.5, x: x + 0.5 });

  canvas.addEventListener("focus", map.draw);
  canvas.addEventListener("blur", map.draw);
  canvas.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && app.info && handle(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  });
  const cancel = map.cancel;
  map.cancel = () => {
    const busy = cancel() || Boolean(corner);
    corner?.term.cancel();
    corner = null;
    return busy;
  };

  map.isBegun = () => corner !== null;

  /** False of keys that do nothing here. */
  function handle(event) {
    const act = event.key in ARROWS ? arrow : acts[event.key];
    return Boolean(act) && act(event) !== false;
  }
  const acts = {
    Enter: enter,
    " ": enter,
    c() {
      if (!map.drawing?.places) return false;
      map.closePolygon();
      app.tellRegion();
    },
    "+": () => zoom(1.25),
    "=": () => zoom(1.25),
    "-": () => zoom(0.8),
    0: () => map.showAll(),
    Delete: () => remove(app, app.state.active),
    Backspace: () => remove(app, app.state.active),
  };

  function arrow(event) {
    const step = event.shiftKey ? 10 : 1;
    const [dy, dx] = ARROWS[event.key].map((v) => v * step);
    if (app.tool === "move") {
      if (nudge(app, dy, dx, event.altKey)) return;
      map.pan(-dx * 20, -dy * 20);
      app.say("No region is chosen that was drawn: the arrow keys move the map.");
      return;
    }
    const [height, width] = app.info.shape;
    const from = map.cursor ?? middle();
    map.cursor = {
      y: clamp(from.y + dy, 0, height - 1),
      x: clamp(from.x + dx, 0, width - 1),
    };
    app.emit("hover", map.cursor);
    if (corner) {
      corner.term.put(between(kind(), centre(corner), centre(map.cursor)));
      app.tellRegion();
    }
    if (map.drawing?.places) map.drawing.places.splice(-1, 1, centre(map.cursor));
    map.draw();
  }

  /** The first Enter begins a region at the cross, the second ends it; corners of a polygon. */
  function enter() {
    if (app.tool === "move") return false;
    map.cursor ??= middle();
    if (app.tool === "polygon" || app.tool === "lasso") polygonCorner();
    else if (corner) {
      corner.term.done(between(kind(), centre(corner), centre(map.cursor)));
      corner = null;
      app.tellRegion();
    } else {
      corner = { ...map.cursor, term: beginTerm(app, app.mode) };
      corner.term.put(between(kind(), centre(corner), centre(corner)));
    }
    map.draw();
  }
  function polygonCorner() {
    const place = centre(map.cursor);
    if (!map.drawing) return map.startPolygon(place);
    const { places } = map.drawing;
    const last = places.length > 2 ? places[places.length - 2] : places[0];
    const again = Math.hypot(last.x - place.x, last.y - place.y) < 0.01;
    if (again && polygon(places.slice(0, -1))) map.closePolygon();
    else map.addCorner(place);
  }

  function zoom(factor) {
    const place = map.cursor && map.geometry().toScreen(map.cursor.y, map.cursor.x);
    map.zoomAt(factor, ...(place ?? []));
  }
}
