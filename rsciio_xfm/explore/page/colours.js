/** Colours that colour-blind people can tell apart. */

/** Every eighth colour of matplotlib's maps (viridis and magma: CC0; cividis: Nunez, 2018). */
const ANCHORS = {
  viridis:
    "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d" +
    "2f6b8e2c728e297a8e26828e23898e21918c1f978b1f9f8821a68527ad8131b57b" +
    "3dbc744cc26c5cc8636ece5881d34d95d840aadc32c0df25d5e21aeae51afde725",
  cividis:
    "00224e00285b002e6a0533711a386f273e6e32436d3b496c434e6c4b546c535a6d" +
    "5a5f6e61656f686a716f70737676767d7c788381798b8778928d789a9376a29975" +
    "aaa073b3a670bbad6dc3b369ccba64d4c15fddc858e6d051efd748f8df3cfee838",
  magma:
    "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81" +
    "762181832681902a819c2e7faa337db73779c23b75cf4070db476ae55064ee5b5e" +
    "f4695cf9785dfb8761fd9668fea571feb47bfec287fed194fde0a1fceeb0fcfdbf",
  grey: "000000ffffff",
};

/** 256 colours as 32-bit pixels of an ImageData (little-endian: alpha, blue, green, red). */
export function colourTable(name) {
  const text = ANCHORS[name] ?? ANCHORS.viridis;
  const anchors = text.match(/../g).map((byte) => parseInt(byte, 16));
  const last = anchors.length / 3 - 1;
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * last;
    const k = Math.min(last - 1, Math.floor(at));
    const part = (c) => {
      const [a, b] = [anchors[3 * k + c], anchors[3 * k + 3 + c]];
      return Math.round(a + (b - a) * (at - k));
    };
    table[i] = pixel(part(0), part(1), part(2));
  }
  return table;
}

export const pixel = (r, g, b, a = 255) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** Of regions: the first six after Okabe and Ito (2008). */
export const REGION_COLOURS = [
  "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#813131", "#f0e442",
];
/** Of classes: none is like one of a region, for people with red-green blindness too. */
export const CLASS_COLOURS = [
  "#c7eae5", "#332288", "#648fff", "#dfc27d", "#aa3377", "#8c510a", "#88ccee", "#785ef0",
];
export const classColour = (label) => CLASS_COLOURS[label % CLASS_COLOURS.length];
export const DASHES = [[], [8, 3], [2, 2], [8, 3, 2, 3]];

export const rgbOf = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** The colour that the fewest have. */
export function nextColour(regions) {
  const used = (colour) => regions.filter((r) => r.colour === colour).length;
  return [...REGION_COLOURS].sort((a, b) => used(a) - used(b))[0];
}

const linear = (v) => (v <= 10 ? v / 3294 : ((v / 255 + 0.055) / 1.055) ** 2.4);
const luminance = (rgb) => [0.2126, 0.7152, 0.0722].reduce((sum, part, k) => sum + part * linear(rgb[k]), 0);

/** The contrast of two colours as WCAG has it, 1 to 21. */
export function contrastOf(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

/** The colour, darker or lighter where it would hardly be seen on the ground (contrast below 3). */
export function legible(colour, ground) {
  let rgb = rgbOf(colour);
  const behind = rgbOf(ground);
  const to = luminance(behind) > 0.3 ? 0 : 255;
  while (contrastOf(rgb, behind) < 3) rgb = rgb.map((v) => v + (to - v) * 0.06);
  return `#${rgb.map((v) => Math.round(v).toString(16).padStart(2, "0")).join("")}`;
}
