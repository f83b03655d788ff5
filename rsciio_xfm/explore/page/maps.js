/** The front page of a folder: its maps with thumbnails. */
import { h } from "./dom.js";
import { sizeOfFile } from "./names.js";

export function showMaps(root, maps) {
  document.title = "Maps - explorer";
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "dark" : "light";
  const list = h("ul", { class: "xfm-maps" }, maps.map(card));
  const search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search the maps",
    oninput: () => {
      const text = search.value.toLowerCase();
      [...list.children].forEach((item, k) => {
        item.hidden = !maps[k].name.toLowerCase().includes(text);
      });
    } });
  root.replaceChildren(
    h("header", { class: "xfm-header" }, h("h1", {}, "Maps"),
      h("span", { class: "xfm-muted" }, `${maps.length} in this folder`),
      h("span", { class: "xfm-space" }), maps.length > 8 ? search : null),
    maps.length ? list : h("p", { class: "xfm-muted xfm-empty" },
      "There is no map in this folder that the package can read."));
}

function card({ id, name, size_bytes: bytes, shape }) {
  const size = shape ? `${shape[1]} × ${shape[0]} pixels, ` : "";
  const picture = h("img", { src: `api/map/${encodeURIComponent(id)}/thumbnail.png`, alt: "", loading: "lazy" });
  picture.addEventListener("error", () => picture.classList.add("xfm-none"));
  const link = h("a", { href: `#${encodeURIComponent(JSON.stringify({ map: id }))}` }, picture,
    h("strong", {}, name), h("span", { class: "xfm-muted" }, `${size}${sizeOfFile(bytes)}`));
  link.addEventListener("click", () => setTimeout(() => location.reload()));
  return h("li", {}, link);
}
