/** Names of lines and images, and numbers, as people write them. */

const GREEK = { a: "α", b: "β", g: "γ", l: "ℓ", n: "η" };

export function lineLabel(line) {
  const [, element, shell, letter, rest] = /^(\w+?)_([KLM])([a-z])(\w*)$/.exec(line) ?? [];
  if (!element) return line.replace("_", " ");
  return `${element} ${shell}${GREEK[letter] ?? letter}${rest}`;
}

/** What somebody typed ("fe ka", "Fe Kα", "FeKa1") as a name of a line; null if it is none. */
export function parseLine(text) {
  const plain = Object.entries(GREEK).reduce((t, [l, g]) => t.replaceAll(g, l), text.trim());
  const found = /^([A-Za-z]{1,2}?)[\s_-]*([KLMklm])[\s_-]*([a-zA-Z])(\d?)$/.exec(plain);
  if (!found) return null;
  const [, element, shell, letter, number] = found;
  const digit = number === "1" && "aA".includes(letter) ? "" : number;
  return `${elementName(element)}_${shell.toUpperCase()}${letter.toLowerCase()}${digit}`;
}

const elementName = (text) => text[0].toUpperCase() + text.slice(1).toLowerCase();

/** Elements in what somebody typed: of "fe, Ca xx", Fe and Ca are `found`, and xx is `unknown`. */
export function parseElements(text) {
  const words = text.split(/[\s,;]+/).filter(Boolean);
  const isElement = (word) => SYMBOLS.has(elementName(word));
  return {
    found: [...new Set(words.filter(isElement).map(elementName))],
    unknown: words.filter((word) => !isElement(word)),
  };
}

const SYMBOLS = new Set(
  ("H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As " +
    "Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd " +
    "Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu " +
    "Am").split(" "),
);

/** What an image shows, for people; `energyOf` is null where there are no energies. */
export function imageLabel(spec, energyOf = null) {
  const [kind, ...rest] = spec.split(":");
  const fixed = { counts: "All counts", max: "Most in a channel", dead: "Dead time", class: "Classes" };
  if (kind in fixed) return fixed[kind];
  if (kind === "e") return lineLabel(rest[0]);
  if (kind === "fit") return `${lineLabel(rest[0])}, fitted`;
  if (kind === "w" && energyOf) {
    const [a, b] = rest.map((channel) => energyOf(Number(channel)).toFixed(2));
    return `${a} to ${b} keV`;
  }
  if (kind === "w") return `Channels ${rest[0]} to ${Number(rest[1]) - 1}`;
  return spec;
}

const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, "\u202f");

/** A number for people: 12 345, 0.0123, 1.2e+9. */
export function shown(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "none";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) {
    return grouped(String(value));
  }
  const size = Math.abs(value);
  if (size >= 1e9 || (size < 1e-3 && size > 0)) return value.toExponential(digits - 2);
  const [whole, part] = String(Number(value.toPrecision(digits))).split(".");
  return grouped(whole) + (part ? `.${part}` : "");
}

export const missing = (what, extra) =>
  `${what} are not installed where the map is read: pip install "rsciio_xfm[${extra}]".`;

export function sizeOfFile(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let k = 0;
  for (; bytes >= 1000 && k < 4; k++) bytes /= 1000;
  return `${k ? bytes.toPrecision(3) : bytes} ${units[k]}`;
}
