/** Elements of the page, made in one line. */

const SVG = "http://www.w3.org/2000/svg";

const SHORT = { label: "aria-label", key: "data-key" };

/**
 * h("button.tool", {onclick: f, label: "Undo", key: "undo"}, "text", child, ...), of the class
 * xfm-tool; the properties may be left out. Functions become listeners, true and false set or leave out, `value` and
 * such are properties; `label` is what a screen reader says, `pressed` whether a button is, by
 * `key` the keyboard finds it again after fill().
 */
export function h(tag, ...children) {
  const props = children[0]?.constructor === Object ? children.shift() : {};
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.filter(Boolean).map((own) => `xfm-${own}`).join(" ");
  if (name === "button") element.type = "button";
  for (const [key, value] of Object.entries(props)) put(element, key, value);
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}
function put(element, key, value) {
  if (key === "pressed") element.setAttribute("aria-pressed", value);
  else if (value === null || value === undefined || value === false) return;
  else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
  else if (["value", "checked", "selected"].includes(key)) element[key] = value;
  else element.setAttribute(SHORT[key] ?? key, value === true ? "" : value);
}

/** A colour is set by the object model: the page allows no style attributes. */
export function coloured(element, colour, property = "backgroundColor") {
  element.style[property] = colour;
  return element;
}

const ICONS = {
  move: "M8 1v14M1 8h14M8 1l-2 2m2-2 2 2M8 15l-2-2m2 2 2-2M1 8l2-2m-2 2 2 2M15 8l-2-2m2 2-2 2",
  rectangle: "M2 3.5h12v9H2z",
  ellipse: "M8 3c3.5 0 6.3 2.2 6.3 5s-2.8 5-6.3 5-6.3-2.2-6.3-5 2.8-5 6.3-5z",
  polygon: "M3 6l5-4 6 4-2 8H5z",
  lasso: "M8 3c4 0 6 2 6 4s-3 4-6 4-6-1-6-4 2-4 6-4zM5 11c-1 1 1 2 0 4",
  undo: "M6 3 2.5 6.5 6 10M3 6.5h6a4 4 0 0 1 0 8H6",
  redo: "M10 3l3.5 3.5L10 10M13 6.5H7a4 4 0 0 0 0 8h3",
  fit: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4",
  dark: "M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z",
  help: "M5.5 5.5a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.7M8 12.5v.6",
  remove: "M4 4l8 8M12 4l-8 8",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
};

function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function iconButton(name, label, onclick, props = {}) {
  return h("button", { title: label, label, onclick, ...props }, icon(name));
}

/** A list to choose from: options are [value, text]. */
export function choice(label, options, value, onchange, props = {}) {
  return h("select", {
    label, title: label, ...props, onchange: (e) => onchange(e.target.value),
  }, options.map(([v, text]) => h("option", { value: v, selected: v === value }, text)));
}

export function segments(label, options, value, onchange) {
  return h("div.segments", { role: "group", label },
    options.map(([v, text, title]) => h("button", {
      title, pressed: v === value, key: `${label} ${v}`, onclick: () => onchange(v),
    }, text)));
}

export function numberInput(label, value, onchange, props = {}) {
  return h("input", {
    type: "number", label, title: label, value, ...props,
    onchange: (e) => Number.isFinite(e.target.valueAsNumber) && onchange(e.target.valueAsNumber),
  });
}

/** Fill an element anew; what had the keyboard keeps it, by its data-key, and what was typed. */
export function fill(element, ...children) {
  const active = element.contains(document.activeElement) ? document.activeElement : null;
  const key = active?.closest("[data-key]")?.dataset.key;
  const typed = active?.matches("input:not([type=checkbox])") ? active.value : null;
  element.replaceChildren(...children.flat().filter(Boolean));
  const next = key && element.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!next) return;
  if (typed !== null) next.value = typed;
  next.focus();
}

/** A canvas as large as its box on the screen; its context and size. */
export function prepared(canvas) {
  const scale = pixelRatio();
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [w, h_] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h_) [canvas.width, canvas.height] = [w, h_];
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

export const space = () => h("span.space");
export const clamp = (v, low, high) => Math.min(Math.max(v, low), high);

/** Put pixels (32 bits each) on a canvas of their size; returns it. */
export function putPixels(canvas, pixels, height, width) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const data = new ImageData(new Uint8ClampedArray(pixels.buffer), width, height);
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

export function placeOn(element, event) {
  const { left, top } = element.getBoundingClientRect();
  return { sx: event.clientX - left, sy: event.clientY - top };
}
export function box(context, colour, [x, y, width, height]) {
  context.fillStyle = colour;
  context.fillRect(x, y, width, height);
}
/** A text on a canvas; `where` it is anchored: "left bottom". */
export function write(context, text, [x, y], where = "left bottom") {
  [context.textAlign, context.textBaseline] = where.split(" ");
  context.fillText(text, x, y);
}
export const pixelRatio = () => window.devicePixelRatio || 1;
export const FONT = "12px system-ui, sans-serif";

export const styleOf = (element, name) => getComputedStyle(element).getPropertyValue(name).trim();

export function download(name, data, type) {
  const address = URL.createObjectURL(new Blob([data], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

export function showDialog(root, label, ...children) {
  const dialog = h("dialog.dialog", { label }, ...children);
  dialog.addEventListener("close", () => dialog.remove());
  root.append(dialog);
  dialog.showModal();
  dialog.scrollTop = 0; // the button that has the keyboard is at its end
}
export const closer = () => h("button", { autofocus: true,
  onclick: (event) => event.target.closest("dialog").close() }, "Close");

/**
 * The pointer went down on an element: move(event) until it is let go, then up(event, isDrag);
 * isDrag: by more than a few pixels.
 */
export function dragged(element, down, move, up) {
  let isDrag = false;
  element.setPointerCapture(down.pointerId);
  const moving = (event) => {
    isDrag ||= Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) > 3;
    if (isDrag) move(event);
  };
  element.addEventListener("pointermove", moving);
  element.addEventListener("pointerup", (event) => {
    element.removeEventListener("pointermove", moving);
    up(event, isDrag);
  }, { once: true });
}

/** Once per picture of the screen, however often it is asked for. */
export function onceAFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
