/** What lies over the image: regions, what is being drawn, the cross of the keyboard. */
import { pixel, rgbOf } from "./colours.js";
import { FONT, box, h, putPixels, write } from "./dom.js";
import { boundsOf, boundsOfAll, isDrawn, parseRegion } from "./regions.js";

const FILL = 34; // of 255: how much a region's colour covers the image
const middles = new WeakMap(); // of a mask
const kept = new Map(); // of a region's text, colour and tint: its picture

export function drawOverlay(context, app, map, place) {
  drawRegions(context, app, place);
  if (map.drawing?.places) drawPlaces(context, place, map.drawing.places);
  if (map.cursor && document.activeElement === map.canvas) drawCross(context, place, map.cursor);
}

function drawRegions(context, app, place) {
  const { regions, active } = app.state;
  // A tint would make other colours of those of classes, and of three images.
  const alpha = ["class", "rgb"].includes(app.shown?.kind) ? 0 : FILL;
  const seen = regions.filter((r) => r.on).map((region) => {
    const terms = parseRegion(region.region);
    const isSimple = terms.length === 1 && isDrawn(terms);
    return { ...region, terms, alpha, isSimple, mask: isSimple ? null : app.maskOf(region.region) };
  });
  for (const region of seen) if (region.mask) drawMask(context, app.info.shape, place, region);
  for (const region of seen) drawTerms(context, place, region, region.id === active);
  for (const { name, terms, mask } of seen) {
    const first = terms.find((term) => boundsOf(term));
    const at = first ? boundsOf(first) : middleOf(mask, app.info.shape[1]);
    if (at) drawName(context, place, name, at);
  }
  const chosen = seen.find((r) => r.id === active);
  if (app.tool === "move" && chosen) drawCorners(context, place, chosen.terms);
}

function drawTerms(context, place, { terms, isSimple, colour, alpha }, isActive) {
  for (const term of terms) {
    outline(context, place, term);
    if (isSimple) tint(context, colour, alpha);
    stroke(context, "rgba(0, 0, 0, 0.75)", isActive ? 6 : 4, []);
    stroke(context, "#ffffff", isActive ? 4 : 2.6, []);
    stroke(context, colour, isActive ? 2.4 : 1.6, term.minus ? [4, 4] : []);
  }
}

/** [y, x] in the middle of the longest row of a region's pixels; null if it has none. */
function middleOf(mask, width) {
  if (!mask || middles.has(mask)) return middles.get(mask) ?? null;
  let [best, length, run] = [null, 0, 0];
  for (let i = 0; i < mask.length; i++) {
    run = mask[i] && i % width ? run + mask[i] : mask[i];
    if (run > length) [best, length] = [i, run];
  }
  const found = best === null ? null : [Math.floor(best / width), (best % width) - length / 2];
  middles.set(mask, found);
  return found;
}

/** By which the move tool takes hold of a region. */
function drawCorners(context, place, terms) {
  if (!isDrawn(terms)) return;
  const [y0, x0, y1, x1] = boundsOfAll(terms);
  for (const [y, x] of [[y0, x0], [y0, x1], [y1, x0], [y1, x1]]) {
    const [sx, sy] = place.toScreen(y, x);
    box(context, "#000", [sx - 5, sy - 5, 10, 10]);
    box(context, "#fff", [sx - 3.5, sy - 3.5, 7, 7]);
  }
}

function drawName(context, place, name, [y0, x0]) {
  const [x, top] = place.toScreen(y0, x0);
  const y = Math.max(top, 20);
  context.font = `600 ${FONT}`;
  const width = context.measureText(name).width;
  box(context, "rgba(0, 0, 0, 0.65)", [x - 1, y - 18, width + 8, 16]);
  context.fillStyle = "#fff";
  write(context, name, [x + 3, y - 3]);
}

function outline(context, place, term) {
  context.beginPath();
  if (term.kind === "r") {
    const [x, y] = place.toScreen(term.y0, term.x0);
    context.rect(x, y, (term.x1 - term.x0) * place.zoom, (term.y1 - term.y0) * place.zoomY);
  } else if (term.kind === "o") {
    const [x, y] = place.toScreen(term.cy, term.cx);
    context.ellipse(x, y, term.rx * place.zoom, term.ry * place.zoomY, 0, 0, 2 * Math.PI);
  } else if (term.kind === "p") {
    for (const [y, x] of term.points) context.lineTo(...place.toScreen(y, x));
    context.closePath();
  }
}

function tint(context, colour, alpha) {
  context.globalAlpha = alpha / 255;
  context.fillStyle = colour;
  context.fill("evenodd");
  context.globalAlpha = 1;
}

function stroke(context, colour, width, dash) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

function drawPlaces(context, place, places) {
  context.beginPath();
  for (const { y, x } of places) context.lineTo(...place.toScreen(y, x));
  stroke(context, "rgba(0, 0, 0, 0.7)", 4, []);
  stroke(context, "#fff", 1.5, []);
  const [x, y] = place.toScreen(places[0].y, places[0].x);
  box(context, "#fff", [x - 4, y - 4, 8, 8]);
}

function drawCross(context, place, cursor) {
  const [x, y] = place.toScreen(cursor.y + 0.5, cursor.x + 0.5);
  context.beginPath();
  for (const [a, b] of [[-14, -4], [4, 14]]) {
    context.moveTo(x + a, y);
    context.lineTo(x + b, y);
    context.moveTo(x, y + a);
    context.lineTo(x, y + b);
  }
  stroke(context, "#000", 4, []);
  stroke(context, "#fff", 2, []);
}

function drawMask(context, [height, width], place, region) {
  context.imageSmoothingEnabled = false;
  context.drawImage(pictureOf(region, height, width), place.left, place.top,
    width * place.zoom, height * place.zoomY);
}

/** The region's pixels in its colour; without an outline, those at its border fully. */
function pictureOf({ mask, colour, alpha, terms, region }, height, width) {
  const name = `${region} ${colour} ${alpha}`;
  if (kept.get(name)?.mask === mask) return kept.get(name).picture;
  const [border, inside] = [255, alpha].map((part) => pixel(...rgbOf(colour), part));
  const isBorder = isDrawn(terms) ? () => false : borderOf(mask, width);
  const pixels = new Uint32Array(mask.length);
  for (let i = 0; i < mask.length; i++) if (mask[i]) pixels[i] = isBorder(i) ? border : inside;
  const picture = putPixels(h("canvas"), pixels, height, width);
  if (kept.size > 24) kept.clear();
  kept.set(name, { mask, picture });
  return picture;
}

/** Whether a pixel of the region has a neighbour, or the map's border, beside it that is not. */
function borderOf(mask, width) {
  return (i) => {
    const x = i % width;
    return x === 0 || x === width - 1 || !mask[i - 1] || !mask[i + 1] || !mask[i - width] || !mask[i + width];
  };
}
