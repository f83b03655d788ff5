"""Damage to files: what disks, networks, interrupted copies and liars do, from a seed."""

import random
from collections.abc import Iterator

# What stands in a field that lies: nothing, the least, the largest, or more than there is.
_LIES = [
    value.to_bytes(n_bytes, order)
    for n_bytes in (1, 2, 4, 8)
    for value in (
        0,
        1,
        2 ** (8 * n_bytes - 1),
        2 ** (8 * n_bytes) - 1,
        2 ** (8 * n_bytes - 2),
    )
    for order in ("little", "big")
]
_LONGEST = 64  # bytes of a splice


def truncations(content: bytes, boundaries: list[int]) -> Iterator[tuple[str, bytes]]:
    """Cut a file at, just before and just behind each boundary, and at each 64th part."""
    places = {b + step for b in boundaries for step in (-1, 0, 1)}
    places |= {len(content) * i // 64 for i in range(64)}
    for place in sorted(places):
        if 0 <= place < len(content):
            yield f"cut at byte {place}", content[:place]


def damaged(
    content: bytes, regions: dict[str, list[tuple[int, int]]], seed: str
) -> tuple[str, bytes]:
    """Damage a file in one of its regions; each region is hit as often, however small.

    Parameters
    ----------
    content
        Of the whole file.
    regions
        Name -> ranges of bytes.
    seed
        The same seed gives the same damage.

    Returns
    -------
    str
        What was done, and where.
    bytes
        The damaged file.
    """
    rng = random.Random(seed)
    name = rng.choice(sorted(regions))
    start, stop = rng.choice(regions[name])
    at = rng.randrange(start, stop)
    length = rng.randint(1, min(_LONGEST, stop - at))
    raw = bytearray(content)
    kind = rng.choice(
        ["bit", "bit", "bytes", "lie", "lie", "zero", "ones", "delete", "insert", "copy"]
    )
    if kind == "bit":
        for _ in range(rng.choice([1, 1, 1, 2, 8])):
            raw[rng.randrange(start, stop)] ^= 1 << rng.randrange(8)
    elif kind == "bytes":
        raw[at : at + length] = rng.randbytes(length)
    elif kind == "lie":
        lie = rng.choice(_LIES)[: stop - at]
        raw[at : at + len(lie)] = lie
    elif kind in ("zero", "ones"):
        raw[at : at + length] = (b"\0" if kind == "zero" else b"\xff") * length
    elif kind == "delete":
        del raw[at : at + length]
    elif kind == "insert":
        raw[at:at] = rng.randbytes(length)
    else:
        other = rng.randrange(max(1, len(content) - length))
        raw[at : at + length] = content[other : other + length]
    return f"{kind} in {name} at byte {at} ({seed})", bytes(raw)
