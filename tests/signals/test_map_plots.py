"""Maps drawn for print: what is there, where it lies, and what files hold."""

import itertools
import re

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.text import Text
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from PIL import Image

import rsciio_xfm
from rsciio_xfm.drawing import maps, scale_bar
from rsciio_xfm.drawing.classes import draw_classes
from rsciio_xfm.drawing.colour_maps import draw_colour_map
from rsciio_xfm.drawing.composites import Composite
from rsciio_xfm.drawing.layout import Margins, Wanted, arrange
from rsciio_xfm.drawing.palette import class_colours
from rsciio_xfm.drawing.panels import Panel, Style
from rsciio_xfm.signals.folders import save_figure

RNG = np.random.default_rng(0)
NAMES = [
    f"{element}_Ka"
    for element in ["Fe", "Ca", "Ti", "Cr", "Cu", "Zr", "K", "Mn", "Zn", "Sr", "As", "S"]
]
NAMES += [f"{element}_La" for element in ["Pb", "Ba", "Ce", "La", "Nd", "Hg", "Au", "Pt"]]
NAMES += [
    f"{element}_Kb"
    for element in ["Ni", "Co", "V", "Br", "Rb", "Y", "Nb", "Mo", "Si", "Al"]
]

ALL, MOST = {"percentile": 100}, {"percentile": 99}


@pytest.fixture(autouse=True)
def close_figures():
    plt.close("all")  # of other tests
    yield
    plt.close("all")


def counts(shape, top=100):
    return RNG.poisson(top, shape).astype(np.uint32)


def signal(data, step=0.05, units="mm", title="map: Fe_Ka", quantity="X-rays (Counts)"):
    axes = [
        {"name": name, "size": size, "scale": step, "units": units}
        for name, size in zip("yx", data.shape, strict=True)
    ]
    metadata = {"General": {"title": title}, "Signal": {"quantity": quantity}}
    return hs.signals.Signal2D(data, axes=axes, metadata=metadata)


def bar_of(ax):
    """Return the axes of the colour bar."""
    (bar,) = ax.child_axes
    return bar


def scale_bars(axes):
    return [
        (k, artist)
        for k, ax in enumerate(np.ravel(axes))
        for artist in ax.artists
        if isinstance(artist, AnchoredSizeBar)
    ]


def length_of(bar):
    """Return the length of a scale bar in the unit of the axis."""
    return bar.size_bar.get_children()[0].get_width()


def text_of(bar):
    return bar.txt_label.get_text()


def undrawn(figure):
    """Return the labels of ticks that are beyond the ends of their axis."""
    found = []
    for axis in figure.findobj(Axis):
        low, high = sorted(axis.get_view_interval())
        edge = 1e-9 * (high - low)
        for place, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True):
            found += [] if low - edge <= place <= high + edge else [label]
    return found


def boxes(figure):
    """Return where each text of a figure is, pixels, as it is drawn."""
    figure.draw_without_rendering()
    left = undrawn(figure)
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    drawn = [t for t in texts if t not in left]
    assert min(t.get_fontsize() for t in drawn) >= 7
    return [(t.get_text(), t.get_window_extent()) for t in drawn]


def check_page(figure, most_height=236.1):
    """Check that a figure fits a page, and that all text is on it and touches no other."""
    width, height = 25.4 * figure.get_size_inches()
    assert width <= 180.1 and height <= most_height
    found = boxes(figure)
    for text, box in found:
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, text
        assert box.y0 >= -1 and box.y1 <= figure.bbox.y1 + 1, text
    for (one, a), (other, b) in itertools.combinations(found, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        up = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across < 1 or up < 2, (one, other)


def check_bars(axes):
    """Check that colour bars are as tall as their maps, which are as they are in length."""
    axes[0].figure.draw_without_rendering()
    for ax in axes:
        own = ax.get_window_extent()
        (bar,) = [image.colorbar for image in ax.images]
        outline = bar.outline.get_window_extent()
        assert outline.height == pytest.approx(own.height, abs=2)
        assert 0 < outline.x0 - own.x1 < 0.1 * ax.figure.dpi
        assert outline.width == pytest.approx(0.085 * ax.figure.dpi, abs=2)


class TestNamesAndUnits:
    def test_of_windows(self):
        images = {
            "Fe_Ka": signal(counts((12, 20))),
            "6.3-6.5 keV": signal(counts((12, 20))),
        }
        axes = rsciio_xfm.plot_maps(images)
        assert [ax.get_title(loc="left") for ax in axes] == ["Fe Kα", "6.3-6.5 keV"]  # noqa: RUF001
        assert [bar_of(ax).get_title(loc="left") for ax in axes] == ["counts"] * 2
        assert axes[0].images[0].get_extent() == [
            0,
            pytest.approx(1.0),
            pytest.approx(0.6),
            0,
        ]
        np.testing.assert_array_equal(axes[0].images[0].get_array(), images["Fe_Ka"].data)

    @pytest.mark.parametrize(
        ("quantity", "unit"),
        [
            ("Mass fraction (%)", "mass %"),
            ("Areal density (ug/cm2)", "µg/cm²"),
            ("chi2/n", "chi2/n"),
            ("", ""),
        ],
    )
    def test_units(self, quantity, unit):
        (ax,) = rsciio_xfm.plot_maps(signal(counts((4, 5)), quantity=quantity))
        assert bar_of(ax).get_title(loc="left") == unit

    def test_of_a_list(self):
        each = [
            signal(counts((4, 5)), title=f"a: b: {name}") for name in ("Fe_Ka", "Ca_Ka")
        ]
        axes = rsciio_xfm.plot_maps(each)
        assert [ax.get_title(loc="left") for ax in axes] == ["Fe Kα", "Ca Kα"]  # noqa: RUF001
        (ax,) = rsciio_xfm.plot_maps(each[:1])
        assert ax.get_title(loc="left") == "a: b: Fe_Ka"

    def test_labels(self):
        each = {"a": counts((4, 5)), "b": counts((4, 5))}
        axes = rsciio_xfm.plot_maps(each, labels=["iron", "Pb_Lb1"])
        assert [ax.get_title(loc="left") for ax in axes] == ["iron", "Pb Lβ1"]
        (ax,) = rsciio_xfm.plot_maps(each["a"], labels="iron")
        assert ax.get_title(loc="left") == "iron"
        with pytest.raises(ValueError, match="There are 1 labels, expected 2"):
            rsciio_xfm.plot_maps(each, labels=["iron"])

    def test_stack(self):
        stack = hs.signals.Signal2D(counts((3, 4, 5)))
        axes = rsciio_xfm.plot_maps(stack, labels=["a", "b", "c"])
        for ax, image in zip(axes, stack.data, strict=True):
            np.testing.assert_array_equal(ax.images[0].get_array(), image)

    def test_sums_and_lazy_ones(self):
        s = hs.signals.Signal1D(counts((4, 5, 6))).as_lazy()
        total = s.sum(-1)
        (ax,) = rsciio_xfm.plot_maps(total)
        np.testing.assert_array_equal(ax.images[0].get_array(), s.data.sum(-1).compute())

    def test_large_counts(self):
        (ax,) = rsciio_xfm.plot_maps(signal(np.full((4, 5), 40_000)))
        bar = bar_of(ax)
        assert bar.get_title(loc="left") == "10³ counts"
        ax.figure.draw_without_rendering()
        labels = {t.get_position()[1]: t.get_text() for t in bar.get_yticklabels()}
        assert labels[20_000] == "20"

    @pytest.mark.thorough
    @pytest.mark.parametrize("highest", [3e-9, 0.5, 7, 999, 12_345, 5.5e12])
    def test_numbers_are_few_and_short(self, highest):
        image = np.linspace(0, highest, 20).reshape(4, 5)
        (ax,) = rsciio_xfm.plot_maps(image, percentile=100)
        ax.figure.draw_without_rendering()
        low, high = bar_of(ax).get_ylim()
        texts = [
            t.get_text()
            for t in bar_of(ax).get_yticklabels()
            if low <= t.get_position()[1] <= high * (1 + 1e-9)
        ]
        assert 3 <= len(texts) <= 7 and max(map(len, texts)) <= 4


class TestContrast:
    def limits(self, image, **options):
        (ax,) = rsciio_xfm.plot_maps(image, **options)
        return ax.images[0], ax.images[0].colorbar

    def test_a_few_bright_pixels(self):
        image = np.full((50, 50), 10.0)
        image[0, :3] = 1e6
        drawn, bar = self.limits(image)
        assert drawn.get_clim() == (0, 10) and bar.extend == "max"
        drawn, bar = self.limits(image, percentile=100)
        assert drawn.get_clim() == (0, 1e6) and bar.extend == "neither"

    def test_differences(self):
        image = np.linspace(-2, 6, 900).reshape(30, 30)
        drawn, bar = self.limits(image, percentile=100)
        assert drawn.get_clim() == (-6, 6)
        assert drawn.get_cmap().name == "RdBu_r" and bar.extend == "neither"
        image = np.full((30, 30), 4.0)
        image[0, 0] = -50
        drawn, bar = self.limits(image)
        assert drawn.get_clim() == (-4, 4)
        assert bar.extend == "min"

    def test_a_diverging_colour_map_is_around_0(self):
        drawn, _ = self.limits(
            np.linspace(1, 5, 90).reshape(9, 10), cmap="PuOr", percentile=100
        )
        assert drawn.get_clim() == (-5, 5) and drawn.get_cmap().name == "PuOr"

    def test_noise_of_element_maps_is_no_difference(self):
        """Counts of a fit are below 0 by noise alone, whatever the map is called."""
        image = signal(RNG.normal(0, 3, (30, 30)))
        image.metadata.set_item("Signal.component", "Ni_K")
        drawn, bar = self.limits(image)
        assert drawn.get_clim()[0] == 0 and bar.extend == "max"
        assert drawn.get_cmap().name == "inferno"

    def test_nearly_even_images_do_not_start_at_0(self):
        drawn, bar = self.limits(
            10_000 + np.linspace(0, 100, 900).reshape(30, 30), percentile=99
        )
        low, high = drawn.get_clim()
        assert low == pytest.approx(10_001) and high == pytest.approx(10_099)
        assert bar.extend == "both"

    @pytest.mark.parametrize("image", [np.zeros((4, 5)), np.full((4, 5), np.nan)])
    def test_nothing(self, image):
        drawn, _ = self.limits(image)
        assert drawn.get_clim() == (0, 1)

    def test_infinite_values(self):
        image = np.array([[1.0, 2.0], [np.inf, np.nan]])
        drawn, _ = self.limits(image, percentile=100)
        assert drawn.get_clim() == (0, 2) and drawn.get_array().mask.sum() == 2
        assert tuple(drawn.get_cmap().get_bad()) == (0.75, 0.75, 0.75, 1)

    def test_what_was_not_found_is_grey(self):
        panel = Panel("Ni_K", counts((9, 9)), remark="not detected", is_found=False)
        (ax,) = maps.draw_maps([panel])
        assert ax.images[0].get_cmap().name == "gray"
        assert ax.get_title(loc="right") == "not detected"

    def test_limits_of_masks(self):
        drawn, _ = self.limits(counts((4, 5)) > 100)
        assert drawn.get_clim() == (0, 1)


class TestScaleBar:
    @pytest.mark.parametrize(
        ("step", "units", "length", "text"),
        [
            (0.05, "mm", 1.0, "1 mm"),
            (1e-4, "mm", 2e-3, "2 µm"),
            (2.5e-3, "mm", 0.05, "50 µm"),
            (2.0, "um", 20.0, "20 µm"),
            (2.0, "μm", 20.0, "20 µm"),
            (0.5, "nm", 10.0, "10 nm"),
            (0.4, "Å", 5.0, "500 pm"),
            (100.0, "µm", 2000.0, "2 mm"),
            (0.5, "cm", 10.0, "100 mm"),
            (0.5, "deg", 10.0, "10 deg"),
            (1.0, None, 20.0, "20 pixels"),
            (0.5, "px", 10.0, "20 pixels"),
        ],
    )
    def test_length(self, step, units, length, text):
        image = signal(counts((60, 80)), step, units) if units else counts((60, 80))
        axes = rsciio_xfm.plot_maps({"a": image, "b": image})
        ((k, bar),) = scale_bars(axes)  # one does for both
        assert k == 0
        assert length_of(bar) == pytest.approx(length) and text_of(bar) == text

    def test_on_paper(self):
        (ax,) = rsciio_xfm.plot_maps(signal(counts((60, 80))))
        ((_, bar),) = scale_bars(ax)
        ax.figure.draw_without_rendering()
        drawn = bar.size_bar.get_children()[0].get_window_extent().width
        assert drawn / ax.get_window_extent().width == pytest.approx(1.0 / (80 * 0.05))

    def test_of_each_size(self):
        each = {"a": signal(counts((30, 40))), "b": signal(counts((30, 40)), 0.2)}
        found = scale_bars(rsciio_xfm.plot_maps(each))
        assert [text_of(bar) for _, bar in found] == ["500 µm", "2 mm"]
        assert not scale_bars(rsciio_xfm.plot_maps(each, scalebar=False))

    def test_pixel_size(self):
        each = signal(counts((30, 40)), 1.0, "mm")
        (ax,) = rsciio_xfm.plot_maps(each, pixel_size="50um, 0.1 mm")
        assert text_of(scale_bars(ax)[0][1]) == "500 µm"
        assert ax.images[0].get_extent() == [0, 2000, 3000, 0]
        ax.figure.draw_without_rendering()
        own = ax.get_window_extent()
        assert own.height / own.width == pytest.approx(1.5, rel=1e-2)

    @pytest.mark.parametrize(
        ("size", "match"),
        [
            ("50", "'50', which has no unit, expected one like '50um'"),
            ("50 inch", "'inch' is no unit of length that is known here, expected nm"),
            ("0um", "expected a number above 0"),
            ("-5um", "expected a number above 0"),
            ("1.2.3um", "expected a number above 0"),
            ("1um,2um,3um", "expected a length with its unit"),
            ("um", "expected a length with its unit"),
            ("", "expected a length with its unit"),
        ],
    )
    def test_wrong_pixel_size(self, size, match):
        with pytest.raises(ValueError, match=match):
            rsciio_xfm.plot_maps(counts((4, 5)), pixel_size=size)
        with pytest.raises(TypeError, match="expected a length with its unit"):
            rsciio_xfm.plot_maps(counts((4, 5)), pixel_size=50)

    @pytest.mark.parametrize(
        ("most", "length"), [(1, 1), (0.99, 0.5), (0.34, 0.2), (730, 500), (5e-5, 5e-5)]
    )
    def test_round_lengths(self, most, length):
        assert scale_bar.round_length(most) == pytest.approx(length)

    def test_axes_of_two_kinds_have_ticks(self):
        image = signal(counts((30, 40)))
        image.axes_manager[1].units = "s"
        (ax,) = rsciio_xfm.plot_maps(image)
        assert not scale_bars(ax) and ax.get_aspect() == "auto"
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (mm)", "y (s)")
        check_page(ax.figure)

    def test_lengths_in_two_units_are_one_scale(self):
        image = signal(counts((30, 40)))
        image.axes_manager[1].units, image.axes_manager[1].scale = "um", 50
        (ax,) = rsciio_xfm.plot_maps(image)
        assert text_of(scale_bars(ax)[0][1]) == "500 µm"
        assert ax.images[0].get_extent() == [0, 2.0, 1.5, 0]

    @pytest.mark.thorough
    @pytest.mark.parametrize("shape", [(1, 60), (60, 1), (2, 90)])
    def test_a_row_can_be_seen(self, shape):
        (ax,) = rsciio_xfm.plot_maps(signal(counts(shape)))
        assert not scale_bars(ax)
        own = ax.get_window_extent()
        assert min(own.width, own.height) > 0.2 * ax.figure.dpi
        assert (ax.get_xlabel(), ax.get_ylabel()) == (
            "x (mm)" if shape[1] > 1 else "",
            "y (mm)" if shape[0] > 1 else "",
        )
        check_page(ax.figure)

    def test_one_pixel(self):
        (ax,) = rsciio_xfm.plot_maps(signal(counts((1, 1))))
        assert text_of(scale_bars(ax)[0][1]) == "10 µm"
        (ax,) = rsciio_xfm.plot_maps(counts((1, 1)))
        assert not scale_bars(ax)  # a part of a pixel is no length
        check_page(ax.figure)


def test_a_page():
    axes = rsciio_xfm.plot_maps({name: signal(counts((30, 50))) for name in NAMES[:3]})
    check_page(axes[0].figure)
    check_bars(axes)


@pytest.mark.thorough
class TestPage:
    @pytest.mark.parametrize("shape", [(60, 60), (30, 240), (240, 24)])
    @pytest.mark.parametrize("n", [1, 5])
    def test_layout(self, shape, n):
        axes = rsciio_xfm.plot_maps({name: signal(counts(shape)) for name in NAMES[:n]})
        check_page(axes[0].figure)
        check_bars(axes)
        for ax in axes:
            own = ax.get_window_extent()
            assert own.height / own.width == pytest.approx(shape[0] / shape[1], rel=0.02)

    @pytest.mark.parametrize(
        "shape", [(60, 60), (60, 100), (30, 240), (240, 24), (300, 60)]
    )
    @pytest.mark.parametrize("n", [2, 3, 12, 30])
    def test_many(self, shape, n):
        panels = [
            Panel(
                name,
                counts(shape, 10.0 ** (k % 7)),
                [(0.05, "mm")] * 2,
                "counts" if k % 2 else "mass %",
                remark=("", "not detected", "in a part of the map")[k % 3],
            )
            for k, name in enumerate(NAMES[:n])
        ]
        axes = maps.draw_maps(panels)
        check_page(axes[0].figure)
        check_bars(axes)
        rows = {round(ax.get_position().y0, 4) for ax in axes}
        assert n > 2 or len(rows) == (2 if shape == (30, 240) else 1)

    @pytest.mark.parametrize("factor", [0.6, 1.7])
    def test_of_a_window_that_is_resized(self, factor):
        axes = rsciio_xfm.plot_maps([signal(counts((30, 50)))] * 3)
        figure = axes[0].figure
        figure.set_size_inches(figure.get_size_inches() * (factor, 1.0))
        check_bars(axes)

    def test_columns(self):
        axes = rsciio_xfm.plot_maps([counts((9, 9))] * 3, per_row=1)
        assert len({round(ax.get_position().x0, 4) for ax in axes}) == 1
        assert len({round(ax.get_position().y0, 4) for ax in axes}) == 3
        for wrong in (0, 1.5, "2"):
            with pytest.raises(ValueError, match="expected a number from 1 on"):
                rsciio_xfm.plot_maps(counts((9, 9)), per_row=wrong)

    def test_four_are_two_by_two(self):
        grid = arrange(Wanted(4, 1.0), Margins(right=0.5))
        assert (grid.rows, grid.columns) == (2, 2)

    def test_long_names(self):
        name = "the part of the map that is rich in iron and titanium"
        axes = rsciio_xfm.plot_maps({name: counts((60, 20)), "b": counts((60, 20))})
        check_page(axes[0].figure)

    @pytest.mark.parametrize("n", [1, 6])
    def test_names_that_are_longer_than_a_map_have_lines(self, n):
        name = "the part of the map that is rich in iron, titanium and $chromium$ as well"
        images = {f"{name} {name} {k}": counts((60, 80)) for k in range(n)}
        axes = rsciio_xfm.plot_maps(images)
        shown = axes[-1].get_title(loc="left")
        assert "\n" in shown
        assert shown.replace("\n", " ").replace("\\$", "$") == f"{name} {name} {n - 1}"
        assert axes[0].figure.get_figwidth() > (6 if n > 1 else 4)
        check_page(axes[0].figure)

    def test_what_is_said_of_a_small_map_is_in_it(self):
        panels = [
            Panel(name, counts((30, 30)), remark="in a part of the map")
            for name in NAMES[:12]
        ]
        axes = maps.draw_maps(panels)
        assert not axes[0].get_title(loc="right")
        (text,) = axes[0].texts
        assert text.get_text().replace("\n", " ") == "in a part of the map"
        check_page(axes[0].figure)

    def test_without_colour_bars(self):
        (ax,) = rsciio_xfm.plot_maps(counts((9, 9)), colorbar=False)
        assert not ax.child_axes
        (other,) = rsciio_xfm.plot_maps(counts((9, 9)))
        assert ax.figure.get_figwidth() < other.figure.get_figwidth()

    def test_of_a_line(self):
        line = hs.signals.Signal1D(counts(50))
        line.axes_manager[0].scale, line.axes_manager[0].units = 2.0, "um"
        axes = rsciio_xfm.plot_maps({"Fe_Ka": line, "Ca_Ka": line})
        _, drawn = axes[0].lines  # the first is at 0
        np.testing.assert_array_equal(drawn.get_ydata(), line.data)
        assert drawn.get_xdata()[-1] == 98 and axes[0].get_xlabel() == "x (µm)"
        check_page(axes[0].figure)

    @pytest.mark.parametrize(
        ("shape", "labels"),
        [((20, 1000), ["x (mm)", "y (µm)"]), ((1000, 20), ["x (µm)", "y (mm)"])],
    )
    def test_long_axes_have_short_numbers(self, shape, labels):
        image = signal(counts(shape), 50.0, "um")
        (ax,) = rsciio_xfm.plot_maps(image)
        assert [ax.get_xlabel(), ax.get_ylabel()] == labels
        check_page(ax.figure)
        ax = rsciio_xfm.plot_rgb(image)  # which has no colour bar beside it
        ax.figure.draw_without_rendering()
        long = ax.xaxis if shape[1] == 1000 else ax.yaxis
        assert long.get_ticklabels()[-1].get_text() == "50"
        check_page(ax.figure)

    def test_of_a_line_with_large_numbers(self):
        line = hs.signals.Signal1D(1e7 + 1e6 * counts(50))
        line.axes_manager[0].scale, line.axes_manager[0].units = 500.0, "um"
        line.metadata.Signal.quantity = "X-rays (Counts)"
        (ax,) = rsciio_xfm.plot_maps({"Fe_Ka": line})
        assert ax.get_ylabel() == "10⁶ counts" and ax.get_xlabel() == "x (mm)"
        check_page(ax.figure)

    def test_where_there_is_no_number_is_no_colour_bar(self):
        axes = rsciio_xfm.plot_maps([np.full((4, 5), np.nan), counts((4, 5))])
        assert [len(ax.child_axes) for ax in axes] == [0, 1]


class TestWrong:
    @pytest.mark.parametrize(
        ("images", "error", "match"),
        [
            ({}, ValueError, "no map to draw"),
            ([], ValueError, "no map to draw"),
            (5, TypeError, "expected a signal, several, or a mapping"),
            ("Fe_Ka", TypeError, "expected a signal, several, or a mapping"),
            ({"a": 5}, TypeError, "This is a int, expected a signal that is an image"),
            (
                np.zeros((2, 3, 4)),
                ValueError,
                "shape \\(2, 3, 4\\), expected real numbers",
            ),
            (np.zeros((0, 3)), ValueError, "shape \\(0, 3\\), expected real numbers"),
            (np.zeros((2, 3), complex), ValueError, "is complex128"),
            (hs.signals.Signal1D(np.zeros((2, 3, 4))), ValueError, "get_window_images"),
            (hs.signals.Signal2D(np.zeros((101, 2, 3))), ValueError, "at most 100"),
        ],
    )
    def test_images(self, images, error, match):
        with pytest.raises(error, match=match):
            rsciio_xfm.plot_maps(images)
        assert not plt.get_fignums()

    def test_colour_map(self):
        with pytest.raises(
            ValueError, match=r"cmap is 'virids', expected .* like viridis"
        ):
            rsciio_xfm.plot_maps(counts((3, 4)), cmap="virids")

    @pytest.mark.parametrize("percentile", [-1, 101, "99", None])
    def test_percentile(self, percentile):
        with pytest.raises(ValueError, match="expected 0 to 100"):
            rsciio_xfm.plot_maps(counts((3, 4)), percentile=percentile)


class TestClasses:
    def test_drawn_in_their_colours(self):
        labels = np.array([[0, 1, 2], [2, -1, 0]], np.int16)
        image = signal(labels)
        image.metadata.set_item("Signal.first_label", 0)
        (ax,) = rsciio_xfm.plot_maps(image)
        (drawn,) = ax.images
        colours = drawn.to_rgba(labels)[..., :3]
        np.testing.assert_allclose(colours[0], class_colours(3), atol=1e-6)
        np.testing.assert_allclose(colours[1, 1], 0.9, atol=0.01)  # of no class
        assert [round(tick) for tick in drawn.colorbar.get_ticks()] == [0, 1, 2]

    def test_colours_are_told_apart(self):
        """With all cones, without red and without green ones (Machado et al. 2009)."""
        eyes = [
            np.eye(3),
            [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
             [-0.003882, -0.048116, 1.051998]],
            [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
             [-0.011820, 0.042940, 0.968881]],
        ]  # fmt: skip
        rgb = np.array(class_colours(16))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        to_xyz = [
            [0.4124, 0.3576, 0.1805],
            [0.2126, 0.7152, 0.0722],
            [0.0193, 0.1192, 0.9505],
        ]
        for seen in eyes:
            shown = np.clip(linear @ np.transpose(seen), 0, 1)
            xyz = shown @ np.transpose(to_xyz) / [0.9505, 1, 1.089]
            f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
            x, y, z = f.T
            lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
            apart = np.linalg.norm(lab[:, None] - lab, axis=-1)[np.triu_indices(16, 1)]
            assert apart.min() > 15
            assert apart.reshape(-1)[:5].min() > 20  # of the first class to the next

    @pytest.mark.parametrize("shape", [(60, 100), (20, 200)])
    def test_the_legend_of_many_is_below_what_is_above_it(self, shape):
        labels = np.arange(shape[0] * shape[1]).reshape(shape) % 16
        spectra = 1.0 + counts((16, 40))
        scores = np.stack([labels.ravel(), -labels.ravel()], axis=1).astype(float)
        axes = draw_classes(
            labels, scores, spectra, np.arange(40.0), "keV",
            [(0.05, "mm")] * 2, np.full(16, 1 / 16), {},
        )  # fmt: skip
        axes[0].figure.draw_without_rendering()
        legend = axes[2].get_legend().get_window_extent()
        assert legend.y1 < axes[1].xaxis.label.get_window_extent().y0 or (
            legend.x0 > axes[1].get_window_extent().x1
            and legend.y1 < axes[0].get_window_extent().y0
        )


class TestColours:
    @pytest.mark.parametrize("shape", [(40, 60), (4, 100)])
    def test_figure_is_as_high_as_the_map(self, shape):
        picture = np.zeros((*shape, 3), np.uint8)
        steps = [(0.05, "mm"), (0.1, "mm")]
        colours = np.zeros((8, 3))
        axes = draw_colour_map(picture, steps, "map", colours, (0.0, 10.0, "keV"))
        axes[0].figure.draw_without_rendering()
        height = axes[0].get_window_extent().height / axes[0].figure.dpi
        assert axes[0].figure.get_figheight() - height < 1.6

    @pytest.mark.parametrize(
        ("highest", "said"),
        [(0.01234, "0.0123"), (99.96, "100"), (999.7, "1000"), (12345.6, "12346")],
    )
    def test_legend_has_plain_numbers(self, highest, said):
        image = signal(np.full((20, 30), highest))
        legend = rsciio_xfm.plot_rgb(image, labels=["zircon"]).get_legend()
        (text,) = legend.get_texts()
        assert text.get_text().split(", to ")[1].split()[0] == said

    def test_composite(self):
        red, green = counts((20, 30)).astype(float), counts((20, 30)).astype(float)
        red[3, 4] = -7
        ax = rsciio_xfm.plot_rgb(
            signal(red), None, signal(green), percentile=100, labels=["Fe_Ka", "Ca_Ka"]
        )
        picture = ax.images[0].get_array()
        expected = np.round(255 * np.clip(red / red.max(), 0, 1))
        np.testing.assert_array_equal(picture[..., 0], expected)
        assert not picture[..., 1].any() and picture[..., 2].max() == 255
        legend = ax.get_legend()
        assert [t.get_text() for t in legend.get_texts()] == [
            f"Fe Kα, to {red.max():.3g} counts",  # noqa: RUF001
            f"Ca Kα, to {green.max():.3g} counts",  # noqa: RUF001
        ]
        shown = [handle.get_facecolor()[:3] for handle in legend.get_patches()]
        assert shown == [(1, 0, 0), (0, 0, 1)]
        assert text_of(scale_bars(ax)[0][1]) == "200 µm"
        check_page(ax.figure)

    @pytest.mark.thorough
    @pytest.mark.parametrize("shape", [(60, 60), (30, 240), (240, 24), (3, 90)])
    def test_layout(self, shape):
        each = [signal(counts(shape)) for _ in range(3)]
        ax = rsciio_xfm.plot_rgb(*each, labels=NAMES[:3], pixel_size="50um")
        check_page(ax.figure)
        legend, own = ax.get_legend().get_window_extent(), ax.get_window_extent()
        assert legend.y1 <= own.y0 + 1 and legend.y0 >= -1

    def test_nothing_and_nan(self):
        blank = np.zeros((3, 4))
        ax = rsciio_xfm.plot_rgb(blank, blank * np.nan, scalebar=False)
        assert not ax.images[0].get_array().any() and not scale_bars(ax)

    def test_wrong(self):
        with pytest.raises(ValueError, match="expected one for a colour or more"):
            rsciio_xfm.plot_rgb()
        with pytest.raises(ValueError, match="maps of x and y of one size"):
            rsciio_xfm.plot_rgb(counts((3, 4)), counts((4, 3)))
        with pytest.raises(ValueError, match="maps of x and y of one size"):
            rsciio_xfm.plot_rgb(counts(4))
        with pytest.raises(ValueError, match="There are 3 maps, expected one for each"):
            rsciio_xfm.plot_rgb(hs.signals.Signal2D(counts((3, 4, 5))))
        with pytest.raises(ValueError, match="expected 0 to 100"):
            rsciio_xfm.plot_rgb(counts((3, 4)), percentile=200)

    def test_a_picture_of_colours_is_drawn_as_it_is(self):
        colours = Composite([Panel("", counts((3, 4)))] * 3).colours
        picture = hs.signals.Signal1D(colours)
        picture.change_dtype("rgb8")
        (ax,) = rsciio_xfm.plot_maps(picture)
        np.testing.assert_array_equal(ax.images[0].get_array(), colours)
        assert not ax.child_axes


@pytest.mark.thorough
class TestFiles:
    @pytest.fixture
    def axes(self):
        return rsciio_xfm.plot_maps({"Fe_Ka": signal(counts((60, 80)))})

    def test_png_is_for_print(self, axes, tmp_path):
        width = axes[0].figure.get_figwidth()
        save_figure(axes, tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as picture:
            assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert picture.width == pytest.approx(300 * width, abs=1)
        assert not plt.get_fignums()

    def test_text_of_svg_is_text(self, axes, tmp_path):
        save_figure(axes, tmp_path / "a.svg")
        text = (tmp_path / "a.svg").read_text(encoding="utf-8")
        for word in ("Fe Kα", "counts", "1 mm"):  # noqa: RUF001
            assert re.search(rf"<text[^>]*>{word}</text>", text), word
        assert text.count("<image") == 2  # map and colour bar, no pixel of its own

    def test_pdf(self, axes, tmp_path):
        save_figure(axes, tmp_path / "a.pdf")
        content = (tmp_path / "a.pdf").read_bytes()
        assert b"/FontFile2" in content  # text, in a font that is embedded
        assert len(content) < 300_000


def test_a_style_is_checked_when_it_is_made():
    with pytest.raises(ValueError, match="cmap is 'x'"):
        Style("x")


@pytest.mark.parametrize("name", ["$x_{", r"$\frac{a}$", "$5 and $6", "_1"])
def test_names_and_units_of_files_are_no_mathematics(name):
    """What matplotlib would take for that is written as it is."""
    one = signal(counts((12, 16)), units=name, title=name, quantity=f"A ({name})")
    figures = [
        rsciio_xfm.plot_maps({name: one, "b": signal(counts((12, 16)))})[0].figure,
        rsciio_xfm.plot_rgb(one, one, labels=[name, "b"]).figure,
    ]
    shown = name.replace("$", r"\$")
    for figure in figures:
        figure.canvas.draw()
        texts = [text.get_text() for text in figure.findobj(Text)]
        assert any(shown in text for text in texts)


def test_spectra_have_the_names_of_files():
    names = ["$x_{$", "_1"]
    spectrum = hs.signals.Signal1D(np.arange(1.0, 20.0))
    ax = rsciio_xfm.plot_spectra(dict.fromkeys(names, spectrum))
    ax.figure.canvas.draw()
    found = [text.get_text().strip() for text in ax.get_legend().get_texts()]
    assert found == [r"\$x_{\$", "_1"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((-0.05, 0.05), ((0.05, "mm"), (0.05, "mm"))),
        ((1e300, 1e300), ((1.0, None), (1.0, None))),
        ((1e-300, 0.05), ((1.0, None), (1.0, None))),
    ],
)
@pytest.mark.filterwarnings("ignore:The pixels are")
def test_sizes_that_tiff_cannot_hold(tmp_path, steps, expected):
    from rsciio_xfm.signals.folders import save_image

    one = signal(counts((12, 16)))
    for axis, step in zip(one.axes_manager.signal_axes, steps, strict=True):
        axis.scale = step
    save_image(one, tmp_path / "map.tif")
    found = hs.load(tmp_path / "map.tif")
    np.testing.assert_array_equal(found.data, one.data)
    for axis, (step, unit) in zip(found.axes_manager.signal_axes, expected, strict=True):
        assert axis.scale == pytest.approx(step)
        assert (axis.units if isinstance(axis.units, str) else None) in (unit, "")


def test_sizes_of_two_units_in_tiff(tmp_path):
    from rsciio_xfm.signals.folders import save_image

    one = signal(counts((12, 16)))
    (x, y), units = one.axes_manager.signal_axes, ("µm", "mm")
    for axis, step, unit in zip((x, y), (100.0, 0.2), units, strict=True):
        axis.scale, axis.units = step, unit
    save_image(one, tmp_path / "map.tif")
    found = hs.load(tmp_path / "map.tif")
    steps = [(a.scale, a.units) for a in found.axes_manager.signal_axes]
    assert steps == [(pytest.approx(0.1), "mm"), (pytest.approx(0.2), "mm")]
