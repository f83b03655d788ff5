"""Options of the command line: their defaults are Python's, their numbers are numbers."""

import inspect

import click
import pytest
from click.testing import CliRunner

import rsciio_xfm
from rsciio_xfm import datastack, geopixe, msa
from rsciio_xfm.cli import main
from rsciio_xfm.explore import start
from rsciio_xfm.signals import EDSXFMSpectrum
from rsciio_xfm.signals.element_map_files import Pictures
from rsciio_xfm.signals.element_maps import ElementMaps
from tests.builders import geopixe as builder
from tests.commands import all_commands

# Of each option that has a default: the function that gets its value, and as which argument.
FUNCTIONS = {
    ("analyse", "colours"): (EDSXFMSpectrum.get_colour_map, "colours"),
    ("analyse", "saturation"): (EDSXFMSpectrum.get_dead_time_statistics, "saturation"),
    ("classify", "n_classes"): (rsciio_xfm.classify, "n_classes"),
    ("classify", "reducer"): (rsciio_xfm.classify, "reducer"),
    ("classify", "classifier"): (rsciio_xfm.classify, "classifier"),
    ("classify", "classify_on"): (rsciio_xfm.classify, "classify_on"),
    ("classify", "n_pca"): (rsciio_xfm.classify, "n_pca"),
    ("classify", "seed"): (rsciio_xfm.classify, "random_state"),
    ("classify", "scaling"): (rsciio_xfm.pca, "scaling"),
    ("classify", "min_counts"): (rsciio_xfm.pca, "min_counts"),
    ("convert", "sigma"): (datastack.convert, "sigma"),
    ("convert", "compressor"): (datastack.convert, "compressor"),
    ("convert", "zarr_format"): (datastack.convert, "zarr_format"),
    ("explore", "memory"): (start.explore, "memory"),
    ("explore", "port"): (start.explore, "port"),
    ("maps", "format"): (Pictures, "format"),
    ("quantify", "sample"): (ElementMaps.quantify, "sample"),
    ("spectrum", "norm"): (rsciio_xfm.plot_spectra, "norm"),
    ("report", "n_classes"): (rsciio_xfm.write_report, "n_classes"),
    ("serve", "host"): (start.serve, "host"),
    ("serve", "memory"): (start.serve, "memory"),
    ("serve", "port"): (start.serve, "port"),
    ("standard", "sample"): (ElementMaps.as_standard, "sample"),
    ("image", "width"): (EDSXFMSpectrum.get_window_images, "integration_windows"),
}
# Of these the function is another for each value, or none.
OWN = {("convert", "kev_of_channel_0"), ("spectrum", "statistic")}
# Options that leave it to the function, and say in their help what that does.
LEFT = {
    ("fill-dead-time", "model"): (geopixe.fill_dead_time, "model", "fit"),
    ("fill-dead-time", "preset"): (geopixe.fill_dead_time, "coefficients", "cubic"),
    ("spectrum", "msa_format"): (msa.file_writer, "format", None),
}


def options():
    return {
        (name, option.name): option
        for name, command in all_commands().items()
        for option in command.params
        if isinstance(option, click.Option)
    }


def default_of(option):
    """None where it has none, which click says in other ways too, or is a flag."""
    value = option.get_default(click.Context(click.Command("any")))
    is_given = isinstance(value, int | float | str) and not option.is_flag
    return value if is_given else None


def default_in_python(function, argument):
    return inspect.signature(function).parameters[argument].default


def test_every_default_is_compared():
    found = {key for key, option in options().items() if default_of(option) is not None}
    assert found == set(FUNCTIONS) | OWN


@pytest.mark.parametrize("key", FUNCTIONS, ids=" ".join)
def test_same_as_in_python(key):
    option = options()[key]
    value = option.type_cast_value(None, default_of(option))
    expected = default_in_python(*FUNCTIONS[key])
    assert type(expected)(value) == expected


@pytest.mark.parametrize("key", LEFT, ids=" ".join)
def test_left_to_python(key):
    *function, expected = LEFT[key]
    assert default_in_python(*function) == expected
    assert default_of(options()[key]) is None


def test_flags_are_off_and_so_is_what_they_turn_on():
    for flag in ("flip_horizontal", "flip_vertical", "overwrite"):
        assert default_in_python(datastack.convert, flag) is False
    assert default_in_python(datastack.convert, "keep_integers") is False


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e400"])
def test_numbers_are_finite(number):
    """Of all options that take one, which have one type."""
    every = options() | {("", option.name): option for option in main.params}
    kind = click.types.FloatParamType
    floats = {key: o for key, o in every.items() if isinstance(o.type, kind)}
    assert {name for _, name in floats} >= {"chunk_size", "width", "energies", "sigma"}
    for option in floats.values():
        with pytest.raises(click.BadParameter, match=r"finite|not in the range"):
            option.type.convert(number, option, None)


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "0", "x"])
def test_chunk_size(tmp_path, number):
    path = builder.write_map(tmp_path / "map.GeoPIXE")
    result = CliRunner().invoke(main, ["--chunk-size", number, "info", str(path)])
    assert result.exit_code == 2 and "'--chunk-size'" in result.output
