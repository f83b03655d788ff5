"""Models that PyMca takes, run by ``nox -s pymca``: it finds the same counts with them."""

import numpy as np
import pytest

from tests.builders import xrf
from tests.signals.test_element_model import make

pytest.importorskip("xraylib")
theory = pytest.importorskip("PyMca5.PyMcaPhysics.xrf.ClassMcaTheory")
ConfigDict = pytest.importorskip("PyMca5.PyMcaIO.ConfigDict")


@pytest.mark.filterwarnings("ignore")  # PyMca's own
def test_same_counts(tmp_path):
    phantom = xrf.make((40, 40), counts=600, excitation=17.44)
    elements = ["Si", "S", "Ar", "K", "Ca", "Ti", "Cr", "Mn", "Fe", "Cu", "Zn", "Sr_K"]
    elements += ["As", "Pb_L"]
    s = make(phantom.counts)
    model = s.create_element_model(elements, 17.44, (1.2, 15.0)).fit()
    model.to_pymca(tmp_path / "model.cfg")
    configuration = ConfigDict.ConfigDict()
    configuration.read(str(tmp_path / "model.cfg"))
    fit = theory.McaTheory()
    fit.configure(configuration)
    spectrum = model.model.fit.spectrum
    fit.setData(np.arange(spectrum.size), spectrum)
    fit.estimate()
    found = fit.startfit(digest=1)[1]
    for name in ("Ca", "Ti", "Cr", "Fe", "Cu"):
        counts, sigma = model.areas[name]
        # Without tail and shelf: PyMca's are the areas of the Gaussians.
        assert found[f"{name} K"]["fitarea"] == pytest.approx(
            counts, rel=0.06, abs=4 * sigma
        )
