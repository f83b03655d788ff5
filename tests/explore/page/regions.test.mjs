import assert from "node:assert/strict";
import { test } from "node:test";
import { countOf, imagesOf, maskOf, statistics } from "../../../rsciio_xfm/explore/page/masks.js";
import { between, boundsOfAll, formatRegion, isDrawn, moved, parseRegion, placed, polygon,
} from "../../../rsciio_xfm/explore/page/regions.js";

const NONE = () => null;
const rows = (text, height, width, imageOf = NONE) => {
  const mask = maskOf(parseRegion(text), height, width, imageOf);
  return Array.from({ length: height }, (_, y) =>
    [...mask.slice(y * width, (y + 1) * width)].map((v) => (v ? "#" : ".")).join(""));
};

test("text of each kind comes back", () => {
  for (const text of ["r:0,1,10,20", "o:5.5,6,2.25,3", "p:0,0;0,5.5;4,2", "t:w:100:120@5,10.5",
    "b:e:Fe_Ka@0,10@w:1:2@-3.5,7", "c:3", "r:0,0,4,4|-o:1,1,1,1|t:counts@1,2"]) {
    assert.equal(formatRegion(parseRegion(text)), text);
  }
  assert.deepEqual(parseRegion(""), []);
});

test("what is no region is an error", () => {
  for (const text of ["r:1,2,3", "q:1", "o:1,2,3,x", "p:", "r:1,2,3,Infinity", "|", "b:counts@1,2"]) {
    assert.throws(() => parseRegion(text), undefined, text);
  }
});

test("a pixel belongs if its centre lies inside", () => {
  assert.deepEqual(rows("r:1,1,3,3", 4, 4), ["....", ".##.", ".##.", "...."]);
  assert.deepEqual(rows("r:0.6,0,2.5,2", 3, 3), ["...", "##.", "..."]);
  assert.deepEqual(rows("r:-5,-5,1,99", 2, 3), ["###", "..."]);
  assert.deepEqual(rows("o:1.5,1.5,1.2,1.2", 3, 3), [".#.", "###", ".#."]);
  assert.deepEqual(rows("p:0,0.1;0,4.1;4,4.1", 4, 4), [".###", "..##", "...#", "...."]);
});

test("a polygon that crosses itself has the even-odd rule", () => {
  const star = "p:0,2.5;5,4.1;1.9,0;1.9,5;5,0.9";
  assert.equal(rows(star, 5, 5)[2][2], ".");
});

test("terms are added and taken away in their order", () => {
  assert.deepEqual(rows("r:0,0,2,3|-r:0,1,1,2", 2, 3), ["#.#", "###"]);
  assert.deepEqual(rows("-r:0,0,1,1|r:0,0,1,1", 1, 2), ["#."]);
});

test("regions by values", () => {
  const images = { counts: [0, 5, 10, 15], "e:Fe_Ka": [1, 1, 2, NaN], class: [0, 1, 1, -1] };
  const imageOf = (spec) => images[spec] ?? null;
  assert.deepEqual(rows("t:counts@5,10", 1, 4, imageOf), [".##."]);
  assert.deepEqual(rows("b:counts@0,15@e:Fe_Ka@2,3", 1, 4, imageOf), ["..#."]);
  assert.deepEqual(rows("c:1", 1, 4, imageOf), [".##."]);
  assert.equal(maskOf(parseRegion("t:max@0,1"), 1, 4, imageOf), null);
  assert.deepEqual(imagesOf(parseRegion("t:max@0,1|c:2|r:0,0,1,1|b:counts@0,1@dead@0,1")),
    ["max", "class", "counts", "dead"]);
  const mask = maskOf(parseRegion("t:counts@5,15"), 1, 4, imageOf);
  assert.equal(countOf(mask), 3);
  assert.deepEqual(statistics(Float64Array.from(images["e:Fe_Ka"]), mask),
    { n: 2, sum: 3, mean: 1.5, deviation: 0.5, min: 1, max: 2 });
});

test("shapes between two pixels hold both", () => {
  assert.equal(formatRegion([between("r", { y: 5.2, x: 7.9 }, { y: 2.5, x: 7.1 })]), "r:2,7,6,8");
  assert.equal(formatRegion([between("o", { y: 0.5, x: 0.5 }, { y: 3.5, x: 1.5 })]), "o:2,1,2,1");
});

test("drawn regions are moved and stretched, all their terms", () => {
  const terms = parseRegion("r:0,0,4,8|-o:2,2,1,1|p:0,0;0,4;4,4");
  assert.ok(isDrawn(terms));
  assert.ok(!isDrawn(parseRegion("r:0,0,4,8|c:1")));
  assert.equal(formatRegion(moved(terms, 1, -2)), "r:1,-2,5,6|-o:3,0,1,1|p:1,-2;1,2;5,2");
  assert.deepEqual(boundsOfAll(terms), [0, 0, 4, 8]);
  assert.equal(formatRegion(placed(terms, [0, 0, 4, 8], [0, 0, 8, 8])), "r:0,0,8,8|-o:4,2,2,1|p:0,0;0,4;8,4");
});

test("a lasso of thousands of places has few corners and the same pixels", () => {
  const places = Array.from({ length: 5000 }, (_, k) => {
    const turn = (2 * Math.PI * k) / 5000;
    return { y: 50 + 40 * Math.sin(turn), x: 50 + 40 * Math.cos(turn) };
  });
  const term = polygon(places);
  assert.ok(term.points.length < 120, String(term.points.length));
  const found = countOf(maskOf([term], 100, 100, NONE));
  assert.ok(Math.abs(found - Math.PI * 1600) < 60, String(found));
});
