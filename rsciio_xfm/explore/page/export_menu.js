/** What can be taken away: spectra, images, regions, session, Python lines. */
import { FONT, box, closer, download, h, pixelRatio, showDialog, styleOf, write } from "./dom.js";
import { imageChoices } from "./image_bar.js";
import { geometry } from "./map.js";
import { drawOverlay } from "./map_overlay.js";
import { activeOf } from "./region_edit.js";
import { drawScaleBar, scaleBar } from "./scale_bar.js";
import { wantedImages } from "./show.js";
import { checked } from "./state.js";

const MOST_IMAGES = 16; // that a question may name
const MOST_REGIONS = 8;
const WIDTH = 1200; // of a picture, at least, in pixels

export function createExportMenu(app) {
  const { store } = app;
  const name = (text) => `${app.info.name.replace(/\.[^.]*$/, "")} ${text}`.replace(/[^\w.()-]+/g, "_");

  async function fetched(path, query, file) {
    const { bytes, media_type } = await app.data.ask(`export/${path}`, query);
    download(name(file), bytes, media_type);
  }
  function shownRegions(most = MOST_REGIONS) {
    const regions = app.state.regions.filter((r) => r.on);
    if (regions.length > most) app.say(`Of the first ${most} regions; hide some to have others.`);
    return regions.slice(0, most);
  }
  /** As in the chart: the whole map and the maximum too, where they are shown. */
  function shownSpectra() {
    const { regions, spectrum } = app.state;
    const isWhole = spectrum.whole || !regions.some((r) => r.on);
    const more = [isWhole && { region: "", name: "Whole map" },
      spectrum.max && { region: "max", name: "Most in any pixel" }].filter(Boolean);
    return [...more.slice(0, 1), ...shownRegions(MOST_REGIONS - more.length), ...more.slice(1)];
  }
  const saved = (file, object) => download(name(file), JSON.stringify(object, null, 2), "application/json");
  const textsOf = (regions) => (regions.length ? regions.map((r) => r.region) : [""]);
  function ofChosen(path, ending) {
    const { region, name: own } = activeOf(app.state) ?? { region: "", name: "whole map" };
    return fetched(path, { region, name: own }, `${own}.${ending}`);
  }
  const drawn = (make, file) => make(app).toBlob((blob) => download(name(file), blob, "image/png"));

  const acts = [
    ["Spectrum of the chosen region (MSA)", () => ofChosen("spectrum.msa", "msa")],
    ["All spectra shown (CSV)", () => {
      const spectra = shownSpectra();
      return fetched("spectra.csv",
        { region: spectra.map((s) => s.region), name: spectra.map((s) => s.name) }, "spectra.csv");
    }],
    ["Statistics of the regions in all images (CSV)", statistics],
    ["Picture of the spectrum (PNG)", () => drawn(spectrumPicture, "spectrum.png")],
    ["Image with its numbers (TIFF)", async () => {
      // Of a ratio or of colours, each image by itself.
      for (const of of new Set(wantedImages(app.state))) {
        await fetched("image.tif", { of }, `${of.replaceAll(":", "_")}.tif`);
      }
    }],
    ["Picture with scale bar (PNG)", () => drawn(picture, "map.png")],
    ["Chosen region as an image (TIFF)", () => ofChosen("region.tif", "tif")],
    ["Regions (JSON)", () => saved("regions.json", { regions: app.state.regions })],
    ["Session (JSON)", () => saved("session.json", app.state)],
    ["Open a session or regions ...", openSession],
    ["Python lines ...", () => python(app)],
  ];
  if (app.canLink) acts.push(["Copy the link to this view", () => copy(app, location.href)]);

  async function statistics() {
    const regions = shownRegions();
    const specs = imageChoices(app).map(([spec]) => spec)
      .filter((spec) => spec !== "class").slice(0, MOST_IMAGES); // a class is a name, and no number
    const query = { region: textsOf(regions), of: specs };
    const { json } = await app.data.ask("statistics", query);
    const numbers = ["n", "sum", "mean", "std", "min", "max", "median"];
    const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
    const rows = json.regions.flatMap((found, k) => specs.map((spec) => [
      quoted(regions[k]?.name ?? "Whole map"), quoted(app.labelOf(spec)),
      ...numbers.map((key) => found.of[spec]?.[key] ?? ""),
    ]));
    const head = ["region", "image", ...numbers];
    download(name("statistics.csv"), [head, ...rows].map((row) => row.join(",")).join("\n"), "text/csv");
  }

  function openSession() {
    const input = h("input", { type: "file", accept: "application/json,.json" });
    input.addEventListener("change", async () => {
      try {
        const given = JSON.parse(await input.files[0].text());
        const state = checked(given);
        const [first] = state.regions;
        if (given.v === 1) store.set({ ...state, map: app.state.map });
        else store.set({ regions: state.regions, active: first.id }); // fails without any
        if (given.v === 1) app.emit("session");
      } catch {
        app.tell(new Error("This file is neither a session nor regions of the explorer."));
      }
    });
    input.click();
  }

  const menu = h("details.menu", h("summary", { key: "export" }, "Export"),
    h("div", { role: "menu" }, acts.map(([text, act]) => h("button", {
      role: "menuitem",
      onclick: async () => {
        menu.open = false;
        menu.firstChild.focus(); // the keyboard goes on there
        try {
          await act();
        } catch (error) {
          app.tell(error);
        }
      },
    }, text))));
  menu.addEventListener("keydown", (event) => {
    const items = [...menu.querySelectorAll("[role=menuitem]")];
    const at = items.indexOf(document.activeElement);
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key === "Escape") {
      menu.open = false;
      menu.firstChild.focus();
    } else if (event.key in steps) {
      menu.open = true;
      items[(at + steps[event.key] + items.length) % items.length].focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  menu.addEventListener("focusout", () => setTimeout(() => {
    if (!menu.contains(document.activeElement)) menu.open = false;
  }, 150));
  return menu;
}

/** The whole map as it is shown, with regions and scale bar, on a canvas of its own. */
function picture(app) {
  const [height, width] = app.info.shape;
  const all = geometry(app.info, { x: null, y: null, zoom: 1 }, { width, height });
  const zoom = Math.max(1, Math.ceil(WIDTH / width));
  const canvas = h("canvas");
  [canvas.width, canvas.height] = [width * zoom, Math.round(height * all.zoomY * zoom)];
  const place = geometry(app.info, { x: null, y: null, zoom }, canvas);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(app.map.painted, 0, 0, canvas.width, canvas.height);
  drawOverlay(context, app, { ...app.map, cursor: null, drawing: null }, place);
  const scale = Math.max(1, canvas.width / 700);
  const bar = scaleBar(app.info.pixel, zoom, canvas.width / 4);
  drawScaleBar(context, bar, { x: 10 * scale, y: canvas.height - 10 * scale, scale });
  return canvas;
}

/** The spectra as they are shown, with their names, on the colour of the page. */
function spectrumPicture(app) {
  const { plot, series } = app.chart;
  const seen = plot.ctx.canvas;
  const canvas = h("canvas");
  [canvas.width, canvas.height] = [seen.width, seen.height];
  const context = canvas.getContext("2d");
  const scale = pixelRatio();
  box(context, styleOf(app.root, "--ground"), [0, 0, canvas.width, canvas.height]);
  context.drawImage(seen, 0, 0);
  const { left, top, width } = plot.bbox;
  context.scale(scale, scale);
  context.font = FONT;
  context.lineWidth = 2;
  const right = (left + width) / scale - 6;
  series.forEach(({ name, colour, dash }, k) => {
    const y = top / scale + 12 + 16 * k;
    context.fillStyle = styleOf(app.root, "--text");
    write(context, name, [right, y], "right middle");
    const end = right - context.measureText(name).width - 6;
    context.strokeStyle = colour;
    context.setLineDash(dash ?? []);
    context.beginPath();
    context.moveTo(end - 24, y);
    context.lineTo(end, y);
    context.stroke();
  });
  return canvas;
}

async function python(app) {
  const { json, text } = await app.data.ask("script.py", { state: JSON.stringify(app.state) });
  const lines = text ?? json?.script ?? "";
  const code = h("pre", { tabindex: 0 }, lines);
  showDialog(app.root, "Python lines", h("h2", "Python lines that make the same"), code,
    h("div.row",
      h("button", { onclick: () => copy(app, lines, code) }, "Copy"),
      h("button", { onclick: () => download("explored.py", lines, "text/x-python") }, "Save"),
      closer()));
}

async function copy(app, text, element = null) {
  try {
    await navigator.clipboard.writeText(text);
    app.say("Copied.");
  } catch {
    // Without https, a browser lets only what is selected be copied.
    if (element) getSelection().selectAllChildren(element);
    app.say(element && document.execCommand("copy") ? "Copied." : "Copy it from the address bar.");
  }
}
