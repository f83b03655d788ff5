"""The notebooks of the gallery, run as they stand; the documentation runs the scripts."""

import os
import re
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
from PIL import Image

from rsciio_xfm import data

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
DOCS = Path(__file__).parents[1] / "docs"


def printed_by(notebook):
    """What the cells of a notebook that was run have printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(o.text for o in outputs if o.get("name") == "stdout")


def pictures_of(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})]


def numbers(pattern, text):
    return [float(found) for found in re.findall(pattern, text)]


def check_element_maps(folder, text):
    """Each image agrees with where its element was put, as well as its counts allow."""
    agreement = re.findall(r"(\w+_K): correlation with the truth (\S+)", text)
    assert len(agreement) == 6
    nickel = re.findall(r"nickel in (\w+): (-?\d+) \+- (\d+)", text)
    evidence = {name: float(counts) / float(sigma) for name, counts, sigma in nickel}
    assert evidence["olivine"] > 50 and abs(evidence["chalcopyrite"]) < 3.3
    assert (folder / "elements" / "elements.csv").is_file()
    with Image.open(folder / "iron.tif") as iron:
        rock = data.thin_section(folder / "again.GeoPIXE")
        for name, found in agreement:
            known = rock.counts(name)
            # Noise of its counts, and of as many under them, makes it less than 1, of Cr
            # 0.974; it is printed with two digits.
            most = np.sqrt(known.var() / (known.var() + 2 * known.mean()))
            assert float(found) > most - 0.005
        assert np.corrcoef(np.asarray(iron).ravel(), rock.share("Fe").ravel())[0, 1] > 0.9


def check_concentrations(folder, text):
    """Of each element of each mineral, beside the truth."""
    found = re.findall(r"^[a-z]+ +[A-Z]\w? +(\S+) \+- +(\S+) +(\S+)$", text, re.MULTILINE)
    percent, sigma, truth = np.array(found, dtype=float).T
    assert len(truth) == 21
    assert (np.abs(percent - truth) < 0.04 * truth + 3 * sigma + 0.005).all()
    assert (folder / "concentrations" / "concentrations.csv").is_file()


def check_regions(folder, text):
    (found,) = numbers(r"(\d+) pixels", text)
    (right,) = numbers(r"(\d+) of them zircon", text)
    assert found == right > 30
    zircon = hs.load(folder / "zircon.msa", signal_type="EDS_XFM")
    live = zircon.metadata.Acquisition_instrument.SEM.Detector.EDS.live_time
    assert live == pytest.approx(numbers(r"truth (\S+) s", text)[0], abs=1e-3)


def check_classes(folder, text):
    assert "6 classes; the rock has 6 minerals" in text
    assert numbers(r"adjusted Rand index\): (\S+)", text)[0] > 0.98
    assert len(list((folder / "classes").glob("class_*.msa"))) == 6


def check_embedding(folder, text):
    assert numbers(r"adjusted Rand index\): (\S+)", text)[0] > 0.95


def check_colours(folder, text):
    with Image.open(folder / "colours.png") as picture:
        assert picture.size == (160, 96) and picture.mode == "RGB"


def check_dead_time(folder, text):
    count, error = numbers(r"(\d+) filled in", text), numbers(r"error (\S+) %", text)
    assert count[0] > 5000 and error[0] < 0.5


def check_solder_joint(folder, text):
    """Tin is the strongest, nickel the weakest."""
    counts = dict(re.findall(r"(\w+_\w+): (\d+) counts", text))
    ordered = sorted(counts, key=lambda line: int(counts[line]))
    assert ordered[0] == "Ni_K" and ordered[-1] == "Sn_L"
    assert "(80, 60|2048)>, 0.08 s a pixel" in text


def check_painting(folder, text):
    """Images show the pigments that hold the element, the right way up."""
    assert "25.0 eV a channel" in text
    assert numbers(r"channel 0 at (\S+) keV", text)[0] == pytest.approx(-0.5, abs=0.03)
    assert min(numbers(r"(\d+) % of the brightest", text)) > 95


def check_lazy(folder, text):
    """All of it takes a small part of the memory of the map."""
    assert numbers(r"at most (\d+) MiB", text)[0] < 100


def check_cluster(folder, text):
    assert "processes=2" in text and "the same counts, channel by channel" in text


def check_other_programs(folder, text):
    assert len(re.findall("counts the same: True; dead times the same: True", text)) == 4


def check_flatfield(folder, text):
    """Interpolated flats leave the noise of the photons; one flat leaves the drift."""
    one_image, one_flat, two_flats = numbers(r"varies by (\S+) %", text)
    assert one_image < 1.1 and two_flats < 1.1
    assert one_flat > 20 * two_flats
    assert hs.load(folder / "example_data.edf", lazy=True).data.shape == (11, 270, 320)


CHECKS = {name[6:]: f for name, f in list(globals().items()) if name.startswith("check_")}


@pytest.mark.parametrize("name", CHECKS)
def test_notebook(name, tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "PYTHONWARNINGS", "ignore")
    notebook = nbformat.read(DOCS / "notebooks" / f"{name}.ipynb", as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=1200, resources=where).execute()
    CHECKS[name](tmp_path, printed_by(notebook))
    assert all(len(picture) > 5000 for picture in pictures_of(notebook))
    # What it draws is in the notebook.
    assert pictures_of(notebook)


def test_all_examples_are_notebooks():
    scripts = {path.stem for path in (DOCS / "examples").glob("*.py")}
    notebooks = {path.stem for path in (DOCS / "notebooks").glob("*.ipynb")}
    assert scripts == notebooks == set(CHECKS)
