/** In the spectrum: the window, lines of the elements with labels, the cross of the keyboard. */
import { box, pixelRatio, styleOf, write } from "./dom.js";
import { placeLabels } from "./labels.js";
import { lineLabel } from "./names.js";

const ROW = 14;
const LEAST = 0.04; // lines weaker than this part of the strongest have no label

export function drawMarks(plot, app, chart) {
  const { ctx: context } = plot;
  const scale = pixelRatio();
  const { left, top, width, height } = plot.bbox;
  const x = (value) => plot.valToPos(value, "x", true);
  const area = { left, top, right: left + width, bottom: top + height, scale };
  context.save();
  drawWindow(context, app, chart, x, area);
  drawLines(context, chart, x, area);
  if (chart.cursor !== null && document.activeElement === chart.focusable) {
    line(context, x(chart.xOf(chart.cursor)), area,
      { colour: styleOf(chart.element, "--text"), width: 2 * scale, dash: [] });
  }
  context.restore();
}

function drawWindow(context, app, chart, x, { left, right, top, bottom, scale }) {
  const range = chart.window ?? app.windowShown();
  if (!range) return;
  const [a, b] = [x(chart.xOf(range[0] - 0.5)), x(chart.xOf(range[1] - 0.5))];
  const [from, to] = [Math.max(a, left), Math.min(Math.max(b, a + scale), right)];
  if (to < left || from > right) return;
  box(context, "rgba(230, 159, 0, 0.28)", [from, top, to - from, bottom - top]);
  for (const at of [a, b].filter((v) => v >= left && v <= right)) {
    box(context, "rgba(200, 130, 0, 0.9)", [at - scale / 2, top, scale, bottom - top]);
  }
}

function line(context, at, { left, right, top, bottom }, { colour, width, dash }) {
  if (!(at >= left && at <= right)) return;
  context.beginPath();
  context.moveTo(at, top);
  context.lineTo(at, bottom);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

function drawLines(context, chart, x, area) {
  const { scale, left, right, top } = area;
  const text = styleOf(chart.element, "--text");
  const faint = styleOf(chart.element, "--accent");
  const labels = [];
  context.font = `${12 * scale}px system-ui, sans-serif`;
  const asked = new Set(chart.faint.map((mark) => mark.line));
  const marks = chart.marks.filter((mark) => !asked.has(mark.line));
  for (const { line: name, energy, weight, isFaint } of [...marks, ...chart.faint]) {
    const at = x(energy);
    if (at < left || at > right || weight < LEAST) continue;
    const colour = isFaint ? faint : text;
    context.globalAlpha = isFaint ? 0.9 : 0.2 + 0.3 * Math.min(1, weight);
    line(context, at, area, { colour, width: scale, dash: isFaint ? [4 * scale, 3 * scale] : [] });
    context.globalAlpha = 1;
    const label = lineLabel(name);
    labels.push({ x: at, width: context.measureText(label).width, weight, label, colour });
  }
  const placed = placeLabels(labels, {
    left, right, rows: 3, gap: 5 * scale, reach: 44 * scale,
  });
  for (const { left: at, row, x: from, width, label, colour } of placed) {
    const base = top - 3 * scale - row * ROW * scale;
    context.strokeStyle = colour;
    context.globalAlpha = 0.6;
    context.lineWidth = scale;
    context.beginPath();
    context.moveTo(from, top);
    context.lineTo(Math.min(Math.max(from, at + 2 * scale), at + width - 2 * scale), base);
    context.stroke();
    context.globalAlpha = 1;
    context.fillStyle = colour;
    write(context, label, [at, base]);
  }
  chart.element.dataset.labels = placed.map((p) => p.label).join(", ");
}
