"""What nobody measured is not written for other programs as if somebody had."""

import hyperspy.api as hs
import numpy as np
import pytest

from tests.builders import geopixe as builder

DETECTOR = "Acquisition_instrument.SEM.Detector.EDS"
PREFERRED = ("XTILTSTGE", "ELEVANGLE", "AZIMANGLE", "FWHMMNKA")


@pytest.fixture
def spectrum():
    s = hs.signals.Signal1D(np.arange(1.0, 65.0))
    s.set_signal_type("EDS_XFM")
    return s


def keywords_of(path):
    lines = path.read_text().splitlines()
    return {line[1:13].strip(): line[14:].strip() for line in lines if line[:1] == "#"}


def test_preferences_are_not_written(spectrum, tmp_path):
    """exspy puts its preferences into the metadata: 35 degrees, 130 eV."""
    assert spectrum.metadata.get_item(f"{DETECTOR}.energy_resolution_MnKa") > 0
    assert "preferred" not in str(spectrum.metadata)
    again = spectrum.deepcopy()
    again.save(tmp_path / "a.msa")
    assert not {*PREFERRED} & {*keywords_of(tmp_path / "a.msa")}
    assert again.metadata.get_item(f"{DETECTOR}.energy_resolution_MnKa") > 0


def test_those_that_were_kept_in_between(spectrum, tmp_path):
    spectrum.save(tmp_path / "a.hspy")
    hs.load(tmp_path / "a.hspy").save(tmp_path / "a.msa")
    assert not {*PREFERRED} & {*keywords_of(tmp_path / "a.msa")}


def test_what_was_said_is_written(spectrum, tmp_path):
    spectrum.set_microscope_parameters(energy_resolution_MnKa=145.0, elevation_angle=40.0)
    spectrum.save(tmp_path / "a.msa")
    found = keywords_of(tmp_path / "a.msa")
    assert (found["FWHMMNKA"], found["ELEVANGLE"]) == ("145.0", "40.0")
    assert not {"XTILTSTGE", "AZIMANGLE"} & {*found}
    hs.load(tmp_path / "a.msa").save(tmp_path / "b.msa")
    assert keywords_of(tmp_path / "b.msa")["FWHMMNKA"] == "145.0"


def test_what_the_file_said_is_written(tmp_path):
    s = hs.load(builder.write_map(tmp_path / "map.GeoPIXE"))
    s.sum().save(tmp_path / "a.msa")
    said = s.metadata.get_item(f"{DETECTOR}.elevation_angle")
    assert said == s.metadata.Acquisition_instrument.XRF.take_off_angle
    assert float(keywords_of(tmp_path / "a.msa")["ELEVANGLE"]) == said


def test_ripple(tmp_path):
    s = hs.load(builder.write_map(tmp_path / "map.GeoPIXE"))
    s.save(tmp_path / "a.rpl")
    text = (tmp_path / "a.rpl").read_text()
    assert "elevation-angle" in text
    assert "energy-resolution" not in text
