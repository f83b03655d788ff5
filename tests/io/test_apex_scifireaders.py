"""``.edaxh5`` files as SciFiReaders reads them: `nox -s scifireaders`."""

import warnings

import numpy as np
import pytest

from rsciio_xfm.formats import apex
from tests.builders import apex as builder

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def scifireaders():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("SciFiReaders")


@pytest.mark.parametrize("is_array", [False, True])
def test_counts(scifireaders, tmp_path, is_array):
    path = builder.write_map(tmp_path / "map.edaxh5", is_array=is_array, storage={})
    found = scifireaders.EDAXReader(str(path)).read()
    (name,) = [name for name in found if name.endswith("SpectrumImage")]
    theirs, (ours,) = found[name], apex.file_reader(path)
    np.testing.assert_array_equal(np.asarray(theirs), ours["data"])
    # Theirs calls the first axis x, whatever the file says.
    experiment = theirs.metadata["experiment"]
    assert float(experiment["detector"]["live_time"]) == 20.0
    assert float(experiment["microscope"]["acceleration_voltage_V"]) == 20000.0
    assert ours["metadata"]["Acquisition_instrument"]["SEM"]["beam_energy"] == 20.0
