"""What takes long in the explorer: fits, elements, classes."""

import json
import threading
import time

import numpy as np
import pytest

import rsciio_xfm
from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.explore import tasks
from rsciio_xfm.explore.tasks import Task, Tasks
from tests.explore.asking import Asking
from tests.explore.test_exports import run_script


def wait_for(ask, what, **query):
    end = time.monotonic() + 240
    while time.monotonic() < end:
        found = ask.json(what, **query)
        if found["state"] != "running":
            return found
        time.sleep(0.05)
    raise AssertionError("it takes too long")


class TestTasks:
    @pytest.fixture
    def own(self):
        found = Tasks()
        yield found
        found.close()

    def wait(self, task):
        end = time.monotonic() + 20
        while task.state == "running" and time.monotonic() < end:
            time.sleep(0.01)
        return task

    def test_equal_ones_are_one(self, own):
        n_made = []

        def make(task):
            n_made.append(1)
            task.count(1, 4)
            return {"answer": 1}

        first, second = (own.ask("k", make) for _ in range(2))
        assert first is second
        assert self.wait(first).said() == {
            "state": "done",
            "progress": 1.0,
            "result": {"answer": 1},
            "error": None,
        }
        assert own.ask("k", make).state == "done"
        assert n_made == [1]

    def test_what_fails(self, own):
        def make(task):
            raise ValueError("no element")

        task = self.wait(own.ask("k", make))
        assert (task.state, task.error) == ("failed", "no element")

    def test_what_nobody_asks_about_is_stopped(self, own, monkeypatch):
        monkeypatch.setattr(tasks, "ABANDONED", 0.1)
        begun = threading.Event()

        def make(task):
            begun.set()
            while not task.is_over():
                time.sleep(0.01)
            raise PassCancelledError("cancelled")

        task = own.ask("k", make)
        assert begun.wait(10)
        assert self.wait(task).state == "failed"
        again = own.ask("k", lambda task: {"answer": 2})
        assert self.wait(again).result == {"answer": 2}

    def test_stops_with_its_map(self, own):
        def make(task):
            while not task.is_over():
                time.sleep(0.01)
            raise PassCancelledError("cancelled")

        task = own.ask(("map", 1), make)
        own.drop(lambda key: key[0] == "map")
        assert self.wait(task).state == "failed"

    def test_is_over(self):
        task = Task()
        assert not task.is_over()
        task.stop.set()
        assert task.is_over()


@pytest.mark.thorough
class TestRealMap:
    ELEMENTS = "Ca,Ti,Mn,Fe"

    @pytest.fixture
    def ask(self, real_geopixe):
        with Asking(real_geopixe) as found:
            yield found

    def signal(self, path):
        import hyperspy.api as hs

        return hs.load(path, lazy=True)

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_fit(self, ask, real_geopixe, tmp_path):
        found = wait_for(ask, "task/fit", elements=self.ELEMENTS)
        assert found["error"] is None
        assert set(found["result"]["maps"]) == {"Ca_K", "Ti_K", "Mn_K", "Fe_K"}
        signal = self.signal(real_geopixe)
        expected = rsciio_xfm.get_element_maps(signal, self.ELEMENTS.split(","))
        for name in expected:
            assert ask.image(f"fit:{name}") == pytest.approx(
                expected[name].data, rel=1e-4, abs=1e-2
            )
        counts = {row["name"]: row["counts"] for row in found["result"]["table"]}
        assert counts["Fe_K"] == pytest.approx(expected.totals["Fe_K"][0], rel=1e-4)
        region = "t:fit:Fe_K@1000,1e9"
        pixels = ask.arrays("spectrum", region=region)[0]["pixels"]
        assert pixels == (ask.image("fit:Fe_K") >= 1000).sum()
        state = {"image": "fit:Fe_K", "regions": [{"name": "a", "region": region}]}
        text = ask.raw("script.py", state=json.dumps(state)).body.decode()
        made = run_script(text, tmp_path)
        assert made["image fit:Fe_K"] == pytest.approx(
            ask.image("fit:Fe_K"), rel=1e-4, abs=1e-2
        )
        assert (made["spectrum a"] == ask.spectrum(region)).all()

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_elements(self, ask, real_geopixe):
        found = wait_for(ask, "task/elements", elements=self.ELEMENTS)
        signal = self.signal(real_geopixe)
        expected = rsciio_xfm.find_elements(signal, self.ELEMENTS.split(","))
        names = [one["name"] for one in found["result"]["elements"]]
        assert names == [one.name for one in expected]

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_classes(self, ask, real_geopixe):
        found = wait_for(ask, "task/classify", n="3", method="kmeans")
        labels = ask.image("class")
        expected = rsciio_xfm.classify(
            self.signal(real_geopixe), reducer="pca", n_classes=3
        )
        assert (labels == expected.labels.data).all()
        assert found["result"] == {"n": 3, "sizes": np.bincount(labels.ravel()).tolist()}
        for k in range(3):
            header, arrays = ask.arrays("spectrum", region=f"c:{k}")
            assert header["pixels"] == found["result"]["sizes"][k]
            assert (arrays["spectrum"] == expected.sums[k].data).all()
        # Other classes are other regions.
        wait_for(ask, "task/classify", n="2", method="kmeans")
        assert ask.arrays("spectrum", region="c:0")[0]["pixels"] > header["pixels"]

    def test_what_is_wrong(self, ask):
        found = wait_for(ask, "task/fit", elements="Xx")
        assert found["state"] == "failed"
        assert "Xx" in found["error"]
        found = wait_for(ask, "task/fit", elements="Fe", excitation="nonsense")
        assert "nonsense" in found["error"]
