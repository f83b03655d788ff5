"""What takes long in the explorer: fits, elements, classes."""

import json
import math
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import rsciio_xfm
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.watch import begin, go_on
from rsciio_xfm.explore import tasks
from rsciio_xfm.explore.answers import answer
from rsciio_xfm.explore.messages import QuestionError
from rsciio_xfm.explore.notes import to_notes
from rsciio_xfm.explore.tasks import Task, Tasks
from rsciio_xfm.explore.turns import Client
from tests.builders import geopixe
from tests.explore.asking import LONG, Asking
from tests.explore.test_exports import run_script

ME, YOU = Client("me"), Client("you")


def wait_for(ask, what, **query):
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        found = ask.json(what, **query)
        if found["state"] not in ("waiting", "running"):
            return found
        time.sleep(0.05)
    raise AssertionError("it takes too long")


class Long:
    """A task that goes on until it is let go, or is to stop."""

    def __init__(self, name="answer"):
        self.begun, self.go, self.name, self.n_made = (
            threading.Event(),
            threading.Event(),
            name,
            0,
        )

    def __call__(self, task):
        self.n_made += 1
        begin("thinking")
        self.begun.set()
        while not self.go.wait(0.01):
            go_on()
        return {"answer": self.name}, {}


def wait(task):
    end = time.monotonic() + LONG
    while task.is_active and time.monotonic() < end:
        time.sleep(0.01)
    return task


class TestTasks:
    @pytest.fixture
    def own(self):
        found = Tasks(1000)
        yield found
        found.close()

    def test_equal_ones_are_one(self, own):
        n_made = []

        def make(task):
            n_made.append(1)
            task.count(1, 4)
            return {"answer": 1}, {}

        first, second = (own.ask("k", client, make) for client in (ME, YOU))
        assert first is second
        assert wait(first).said() == {
            "state": "done",
            "doing": "",
            "progress": 1.0,
            "result": {"answer": 1, "notes": []},
            "error": None,
        }
        assert own.ask("k", ME, make).state == "done"
        assert n_made == [1]

    def test_what_fails(self, own):
        def make(task):
            raise ValueError("no element")

        task = wait(own.ask("k", ME, make))
        assert (task.state, task.error) == ("failed", "no element")

    def test_what_nobody_asks_about_is_stopped(self, own, monkeypatch):
        monkeypatch.setattr(tasks, "ABANDONED", 0.1)
        task = own.ask("k", ME, Long())
        assert wait(task).state == "stopped"
        monkeypatch.undo()  # another may begin late
        again = own.ask("k", ME, lambda task: ({"answer": 2}, {}))
        assert wait(again).result == {"answer": 2, "notes": []}

    def test_what_waits_and_nobody_asks_about_makes_room(self, own, monkeypatch):
        gate = Long()
        first = own.ask(0, ME, gate)
        assert gate.begun.wait(LONG)
        for k in range(1, 5):
            own.ask(k, ME, Long())
        first.askers[YOU] = math.inf  # who goes on asking
        monkeypatch.setattr(tasks, "ABANDONED", -1.0)
        own.ask(5, ME, Long())
        assert len(own._turns) == 1
        gate.go.set()

    def test_stops_with_its_map(self, own):
        task = own.ask(("map", 1), ME, Long())
        own.drop(lambda key: key[0] == "map")
        assert wait(task).state == "stopped"

    def test_is_over(self):
        task = Task(ME, Long(), askers={ME: time.monotonic()})
        assert not task.is_over()
        task.stop.set()
        assert task.is_over()
        assert Task(ME, Long()).is_over()

    def test_says_what_it_does(self, own):
        long = Long()
        task = own.ask("k", ME, long)
        assert long.begun.wait(LONG)
        said = task.said()
        assert (said["state"], said["doing"]) == ("running", "thinking")
        assert said["progress"] is None
        task.count(1, 4)
        assert task.said()["progress"] == 0.25

    def test_a_long_one_does_not_hold_up_others(self, own):
        """One at a time of a client, in turns."""
        long, second, short = Long(), Long(), Long()
        first = own.ask(1, ME, long)
        waiting = own.ask(2, ME, second)
        assert long.begun.wait(LONG)
        short.go.set()
        assert wait(own.ask(3, YOU, short)).state == "done"
        assert (first.state, waiting.state, second.n_made) == ("running", "waiting", 0)
        long.go.set()
        second.go.set()
        assert (wait(first).state, wait(waiting).state) == ("done", "done")

    def test_turns_are_fair(self, own):
        gates = [Long(), Long()]
        for k, gate in enumerate(gates):
            own.ask(("gate", k), Client(f"gate{k}"), gate)
            assert gate.begun.wait(LONG)
        made = []

        def make(name):
            return lambda task: (made.append(name) or {}, {})

        asked = [own.ask(("me", k), ME, make("me")) for k in range(3)]
        asked.append(own.ask("you", YOU, make("you")))
        gates[0].go.set()
        for task in asked:
            assert wait(task).state == "done"
        assert made == ["me", "you", "me", "me"]
        gates[1].go.set()

    def test_one_who_asks_too_much(self, own):
        longs = [own.ask(k, ME, Long()) for k in range(5)]  # one runs, four wait
        with pytest.raises(QuestionError) as error:
            own.ask(5, ME, Long())
        assert error.value.status == 429
        assert own.ask(0, ME, Long()) is longs[0]
        assert own.ask(5, YOU, Long()).state != "failed"

    def test_stop(self, own):
        task = own.ask("k", ME, Long())
        own.stop("k", ME)
        assert wait(task).state == "stopped"
        again = own.ask("k", ME, lambda task: ({"answer": 2}, {}))
        assert wait(again).state == "done"
        own.stop("k", ME)  # what is done stays
        assert own.made("k") == {}

    def test_stop_of_one_that_waits(self, own):
        gates = [own.ask(k, Client(str(k)), Long()) for k in range(2)]
        never = Long()
        own.ask("k", ME, never)
        own.stop("k", ME)
        assert len(own._turns) == 0
        for k in range(2):
            own.stop(k, Client(str(k)))
        assert [wait(task).state for task in gates] == ["stopped", "stopped"]
        assert never.n_made == 0

    def test_nobody_stops_what_others_want(self, own):
        long = Long()
        task = own.ask("k", ME, long)
        own.ask("k", YOU, long)
        own.stop("k", Client("stranger"))
        own.stop("k", ME)
        assert long.begun.wait(LONG)
        assert task.state == "running"
        assert task.client == YOU  # whose turn it is now
        own.stop("k", YOU)
        assert wait(task).state == "stopped"

    def test_one_that_waits_takes_the_turn_of_who_still_wants_it(self, own):
        gates = [Long(), Long()]
        for k, gate in enumerate(gates):
            own.ask(k, Client(str(k)), gate)
        task = own.ask("k", ME, lambda task: ({}, {}))
        own.ask("k", YOU, lambda task: ({}, {}))
        own.stop("k", ME)
        assert (task.state, task.client) == ("waiting", YOU)
        gates[0].go.set()
        assert wait(task).state == "done"

    def test_what_was_made_is_kept_within_a_budget(self, own):
        def make(n_bytes):
            return lambda task: ({}, {"image": np.zeros(n_bytes, np.uint8)})

        for k in range(3):
            wait(own.ask(k, ME, make(400)))
        assert [own.made(k) is None for k in range(3)] == [True, False, False]
        own.made(1)  # is used, so that 2 goes
        wait(own.ask(3, ME, make(400)))
        assert [own.made(k) is None for k in range(4)] == [True, False, True, False]
        wait(own.ask(4, ME, make(5000)))  # larger than all, but the last
        assert [own.made(k) is None for k in range(5)] == [True, True, True, True, False]
        assert wait(own.ask(0, ME, make(400))).state == "done"


def test_warnings_are_those_of_a_task():
    """Two tasks at once do not get each other's."""
    own, gate = Tasks(0), threading.Barrier(2, timeout=LONG)

    def make(text):
        def run(task):
            gate.wait()
            warn(text)
            gate.wait()
            return {}, {}

        return run

    texts = ("There are 2 classes, expected 3.", "There are 4 classes, expected 5.")
    made = [
        own.ask(text, client, make(text))
        for text, client in zip(texts, (ME, YOU), strict=True)
    ]
    notes = [wait(task).result["notes"][0]["text"] for task in made]
    assert [note[:19] for note in notes] == ["Only 2 of 3 classes", "Only 4 of 5 classes"]
    own.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "The metadata do not say what excites the sample: lines ... "
            'Say it, as in excitation="Rh 50 kV", 17.44 (keV) or "electrons 20 kV".',
            ("hint", "field Excitation"),
        ),
        (
            "The model does not describe the spectrum: chi2/n is 1234, and they differ by "
            "some 61 %; most is left at 2.31 keV (S_K), 6.40 keV. Are the elements all "
            "there are, energies, excitation and energy_range right, and the spectra "
            "counts? What is found is wrong if not.",
            ("warning", "Most is left at 2.31 keV (S_K), 6.40 keV. See whether"),
        ),
        (
            "What is of Fe_K may be of Mn_K. Use energy_range. See s.plot().",
            ("warning", "What is of Fe_K may be of Mn_K."),
        ),
        (
            "Something new: it may be so. Call s.calibrate_energy(...). Look at maps.chi2 "
            "or energy_range. It is fine.",
            ("warning", "Something new: it may be so. It is fine."),
        ),
    ],
)
def test_notes(text, expected):
    (note,) = to_notes([text, text])
    assert note["kind"] == expected[0]
    assert expected[1] in note["text"]
    for word in ("_range", "maps.", "s.", "(...)", '="'):
        assert word not in note["text"].replace("keV.", "").replace("is.", "")


def test_every_warning_of_a_fit_has_words():
    """What is new among them is told, but as it was written for programmers."""
    texts = [
        "The spectra were smoothed: they do not scatter as counts do, so that elements are "
        "found that are not there",
        "There are no counts in channels 3, 7 to 9, where there are many beside them or in "
        "the fit: they are left out.",
        "There are no counts in channels 3 of the map, where there are many beside them or "
        "by the model: they are left out.",
        "The model does not describe the spectra of the map: chi2/n of a pixel is 12.",
        "A channel is 200 eV wide, expected at most 150: peaks are narrower.",
        "Spectra of 5 of 100 pixels have NaN or infinite numbers, expected counts.",
        "The sum of the spectra is negative in 4 channels, expected counts.",
    ]
    said = [note["text"] for note in to_notes(texts)]
    assert len(said) == len(texts)
    assert "3, 7 to 9" in said[1]
    assert "chi2" not in " ".join(said)
    assert said[5].startswith("5 pixels")


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
        own = {"elements": self.ELEMENTS, "excitation": "Mo 45 kV"}
        found = wait_for(ask, "task/fit", **own)
        assert found["error"] is None
        assert set(found["result"]["maps"]) == {"Ca_K", "Ti_K", "Mn_K", "Fe_K"}
        signal = self.signal(real_geopixe)
        expected = rsciio_xfm.get_element_maps(
            signal, self.ELEMENTS.split(","), excitation="Mo 45 kV"
        )
        for name in expected:
            assert ask.image(f"fit:{name}", **own) == pytest.approx(
                expected[name].data, rel=1e-4, abs=1e-2
            )
        counts = {row["name"]: row["counts"] for row in found["result"]["table"]}
        assert counts["Fe_K"] == pytest.approx(expected.totals["Fe_K"][0], rel=1e-4)
        region = "t:fit:Fe_K@1000,1e9"
        iron = ask.image("fit:Fe_K", **own)
        pixels = ask.arrays("spectrum", region=region, **own)[0]["pixels"]
        assert pixels == (iron >= 1000).sum()
        assert ask.error("image", of="fit:Fe_K", elements=self.ELEMENTS)[0] == 404
        state = {
            "image": "fit:Fe_K",
            "fit": self.ELEMENTS.split(","),
            "excitation": "Mo 45 kV",
            "regions": [{"name": "a", "region": region}],
        }
        text = ask.raw("script.py", state=json.dumps(state)).body.decode()
        made = run_script(text, tmp_path)
        assert made["image fit:Fe_K"] == pytest.approx(iron, rel=1e-4, abs=1e-2)
        assert (made["spectrum a"] == ask.spectrum(region, **own)).all()

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
        labels = ask.image("class", n="3")
        expected = rsciio_xfm.classify(
            self.signal(real_geopixe), reducer="pca", n_classes=3
        )
        assert (labels == expected.labels.data).all()
        sizes = np.bincount(labels.ravel()).tolist()
        assert found["result"] == {"n": 3, "sizes": sizes, "notes": []}
        for k in range(3):
            header, arrays = ask.arrays("spectrum", region=f"c:{k}", n="3")
            assert header["pixels"] == found["result"]["sizes"][k]
            assert (arrays["spectrum"] == expected.sums[k].data).all()
        # Other classes are other regions, beside these.
        wait_for(ask, "task/classify", n="2", method="kmeans")
        pixels = [
            ask.arrays("spectrum", region="c:0", n=n)[0]["pixels"] for n in ("2", "3")
        ]
        assert pixels[0] > pixels[1] == found["result"]["sizes"][0]
        assert ask.error("spectrum", region="c:0", n="4")[0] == 404

    def test_stops_at_once(self, ask):
        """Looking for elements looks at it too."""
        query = {"elements": "auto", "excitation": "Rh 50 kV"}
        end, doing = time.monotonic() + LONG, ""
        while doing != "looking for elements" and time.monotonic() < end:
            doing = ask.json("task/fit", **query)["doing"]
        (task,) = ask.explorer.tasks._tasks.values()
        assert ask.json("task/fit", stop="1", **query)["state"] == "stopped"
        cpu = time.process_time()
        assert wait(task).state == "stopped"
        assert time.process_time() - cpu < 5

    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_two_at_once_are_as_one_after_the_other(self, real_geopixe):
        wishes = [("classify", {"n": "3"}), ("fit", {"elements": self.ELEMENTS})]
        wishes += [("classify", {"n": "4"}), ("fit", {"elements": "Ca,Fe"})]
        of = {"classify": "class", "fit": "fit:Fe_K"}
        found = []
        for is_one in (True, False):
            with Asking(real_geopixe) as ask:
                path = f"api/map/{ask.number}/task"
                for k, (kind, wish) in enumerate(wishes):
                    answer(ask.explorer, f"{path}/{kind}", wish, Client(str(k)))
                    if is_one:
                        wait_for(ask, f"task/{kind}", **wish)
                for kind, wish in wishes:
                    assert wait_for(ask, f"task/{kind}", **wish)["state"] == "done"
                images = [ask.image(of[kind], **wish) for kind, wish in wishes]
            found.append(images)
        for first, second in zip(*found, strict=True):
            assert (first == second).all()


def test_the_first_two_are_asked_at_once(tmp_path):
    """Of a server just started, by two students: each loads the signals for the first time."""
    path = geopixe.write_map(tmp_path / "map.GeoPIXE")
    code = f"""
        import threading
        from pathlib import Path
        from rsciio_xfm.explore import tasks
        from rsciio_xfm.explore.opened import Opened
        from rsciio_xfm.explore.wishes import ClassWish, FitWish

        opened = Opened.read(Path({str(path)!r}), {{}})
        tasks.signal_of = lambda *_: 1 / 0  # called when all is loaded
        failed = []

        def make(kind, wish):
            try:
                tasks.MAKES[kind](opened, wish)
            except Exception as error:
                failed.append(repr(error))

        wishes = {{"fit": FitWish(), "classify": ClassWish(), "elements": FitWish()}}
        threads = [threading.Thread(target=make, args=one) for one in wishes.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(*sorted(failed), sep="\\n")
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert ended.stdout == 3 * "ZeroDivisionError('division by zero')\n", ended.stderr
