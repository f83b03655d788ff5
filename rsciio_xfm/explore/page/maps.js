/** The front page of a folder: its maps with thumbnails. */
import { h, space } from "./dom.js";
import { latest } from "./latest.js";
import { sizeOfFile } from "./names.js";

export function showMaps(root, maps, api) {
  document.title = "Maps - explorer";
  window.onhashchange = () => location.reload();
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "dark" : "light";
  const list = h("ul.maps", maps.map(card));
  showPictures([...list.querySelectorAll("img")], api);
  const search = h("input", { type: "search", placeholder: "Search", label: "Search the maps",
    oninput: () => {
      const text = search.value.toLowerCase();
      [...list.children].forEach((item, k) => {
        item.hidden = !maps[k].name.toLowerCase().includes(text);
      });
    } });
  root.replaceChildren(
    h("header.header", h("h1", "Maps"),
      h("span.muted", `${maps.length} in this folder`),
      space(), maps.length > 8 ? search : null),
    maps.length ? list : h("p.muted.empty",
      "There is no map in this folder that the package can read."));
}

function card({ id, name, size_bytes: bytes, shape }) {
  const size = shape ? `${shape[1]} × ${shape[0]} pixels, ` : "";
  const picture = h("img", { alt: "", "data-path": `api/map/${encodeURIComponent(id)}/thumbnail.png` });
  return h("li", h("a", { href: `#${encodeURIComponent(JSON.stringify({ map: id }))}` }, picture,
    h("strong", name), h("span.muted", `${size}${sizeOfFile(bytes)}`)));
}

/** Those that are seen, one after the other: the server reads a map for each. */
function showPictures(pictures, api) {
  const seen = new Set();
  const poke = latest(
    () => pictures.find((picture) => seen.has(picture) && !picture.dataset.asked) ?? null,
    async (picture) => {
      picture.dataset.asked = "true";
      try {
        const { bytes, media_type: type } = await api.get(picture.dataset.path);
        picture.src = URL.createObjectURL(new Blob([bytes], { type }));
      } catch (error) {
        picture.replaceWith(h("span.muted.empty", [error.message, error.hint].join(" ")));
      }
    },
  );
  const watcher = new IntersectionObserver((entries) => {
    entries.forEach(({ target, isIntersecting }) => seen[isIntersecting ? "add" : "delete"](target));
    poke();
  });
  pictures.forEach((picture) => watcher.observe(picture));
}
