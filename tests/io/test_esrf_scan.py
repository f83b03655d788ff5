"""Commands of scans, and grids that positions make."""

import numpy as np
import pytest

from rsciio_xfm.core.scan import make_grid, parse_command


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("amesh sy 0 1 10 sz 0 2 5 0.1", [("sz", 6), ("sy", 11)]),
        ("mesh  sy 0 1 10  sz 0 2 5  0.1", [("sz", 6), ("sy", 11)]),
        ("dmesh(sy, 0, 1, 10, sz, 0, 2, 5, 0.1)", [("sz", 6), ("sy", 11)]),
        ("12  mesh  sy 0 1 10  sz 0 2 5  0.1", [("sz", 6), ("sy", 11)]),
        ("fscan2d sz 0 0.4 6 sy 0 0.1 11 0.1", [("sz", 6), ("sy", 11)]),
        ("fscan sy 0 0.1 11 0.1", [("sy", 11)]),
        ("ascan  del -0.5 0.5  20 1", [("del", 21)]),
        ("dscan sy -1 1 20 0.1", [("sy", 21)]),
        ("a2scan sy 0 1 sz 0 2 10 0.1", [("sy", 11)]),
        ("loopscan 12 0.1", [("", 12)]),
        ("timescan 0.1", []),
        ("ct 1", [("", 1)]),
        ("mesh sy 0 1 -3 sz 0 2 5 0.1", []),
        ("mesh sy 0 nan 3 sz 0 2 5 0.1", []),
        ("mesh sy 0 1 3.5 sz 0 2 5 0.1", []),
        ("", []),
        ("7", []),
        ("mesh", []),
        ("sweep", []),
    ],
)
def test_commands(command, expected):
    found = [
        (axis.motor, axis.size(bool(axis.is_intervals)))
        for axis in parse_command(command)
    ]
    assert found == expected


@pytest.mark.parametrize(("n_points", "shape"), [(66, (6, 11)), (50, (5, 10))])
def test_ambiguous_command(n_points, shape):
    """Whether numbers are intervals or points is told by how many points there are."""
    grid = make_grid("a", n_points, "akmap sy 0 1 10 sz 0 2 5 0.1")
    assert grid.shape == shape
    assert [a["name"] for a in grid.axes] == ["sz", "sy"]


def positions(n_rows, n_fast, is_snake=False, jitter=0.0, seed=0):
    rng = np.random.default_rng(seed)
    fast = np.tile(np.arange(n_fast, dtype=float), (n_rows, 1))
    if is_snake:
        fast[1::2] = fast[1::2, ::-1]
    slow = np.repeat(np.arange(n_rows, dtype=float), n_fast).reshape(n_rows, n_fast)
    return {
        "other": (np.full(n_rows * n_fast, 3.0), None),
        "sy": (fast.ravel() + rng.uniform(-jitter, jitter, fast.size), "mm"),
        "sz": (slow.ravel() + rng.uniform(-jitter, jitter, slow.size), "um"),
    }


@pytest.mark.parametrize("is_snake", [False, True])
@pytest.mark.parametrize("jitter", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(5, 7), (2, 4), (3, 2), (7, 30)])
def test_positions_make_a_grid(shape, jitter, is_snake):
    where = positions(*shape, is_snake, jitter)
    grid = make_grid("a", shape[0] * shape[1], "what is that", where)
    assert grid.shape == shape
    assert grid.is_reversed.tolist() == [is_snake and i % 2 == 1 for i in range(shape[0])]
    assert [a["name"] for a in grid.axes] == ["sz", "sy"]
    assert [a["units"] for a in grid.axes] == ["µm", "mm"]
    placed = grid.place(where["sy"][0])
    np.testing.assert_allclose(
        placed, np.tile(np.arange(shape[1]), (shape[0], 1)), atol=0.1
    )


def test_no_grid():
    rng = np.random.default_rng(0)
    where = {"a": (rng.normal(size=20), None), "b": (rng.normal(size=20), None)}
    assert make_grid("a", 20, "", where).shape == (20,)
    assert make_grid("a", 20, "", {"a": (np.arange(20.0), "mm")}).axes[0]["name"] == "a"
    assert make_grid("a", 20, "").axes[0]["name"] == "x"


def test_zigzag_without_positions():
    grid = make_grid("a", 35, "fscan2d sz 0 1 5 sy 0 1 7 0.1", is_zigzag=True)
    assert grid.is_reversed.tolist() == [False, True, False, True, False]


def test_a_line_goes_on():
    assert make_grid("a", 12, "a3scan a 0 1 11 b 0 1 c 0 1 .1").shape == (12,)


def test_integers_are_padded_with_zeros():
    with pytest.warns(UserWarning, match="9 of 12 points"):
        grid = make_grid("a", 9, "mesh sy 0 3 3 sz 0 2 2 1")
    assert grid.place(np.ones(9, np.uint16)).tolist() == [[1] * 4, [1] * 4, [1, 0, 0, 0]]
    assert np.isnan(grid.place(np.ones(9))[2, 1:]).all()
