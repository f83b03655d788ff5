/**
 * Labels {x, width, weight} beside each other, with {left, row}: the heavier ones first, each moved
 * aside by no more than `reach`; those that find no room are left out.
 */
export function placeLabels(labels, { left, right, rows, gap = 4, reach = 40 }) {
  const taken = Array.from({ length: rows }, () => []);
  const placed = [];
  for (const label of [...labels].sort((a, b) => b.weight - a.weight)) {
    const place = bestPlace(label, taken, { left, right, gap, reach });
    if (!place) continue;
    taken[place.row].push([place.left, place.left + label.width]);
    placed.push({ ...label, ...place });
  }
  return placed;
}

function bestPlace(label, taken, { left, right, gap, reach }) {
  const wanted = label.x - label.width / 2;
  let best = null;
  taken.forEach((row, index) => {
    for (const start of candidates(wanted, label.width, row, gap)) {
      const inside = Math.min(Math.max(start, left), right - label.width);
      const cost = Math.abs(inside - wanted) + index * 8;
      const free = row.every(([a, b]) => inside + label.width + gap <= a || inside >= b + gap);
      const near = Math.abs(inside - wanted) <= reach;
      if (free && near && (!best || cost < best.cost)) best = { left: inside, row: index, cost };
    }
  });
  return best && { left: best.left, row: best.row };
}

/** Where a label might begin: where it wants to, or right beside another. */
function candidates(wanted, width, row, gap) {
  return [wanted, ...row.flatMap(([a, b]) => [a - gap - width, b + gap])];
}
