"""What HDF5 trusts in a file, and the files that it leads to."""

import contextlib
import os
import shutil
import struct
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from rsciio_xfm import emd, esrf
from rsciio_xfm.core.hdf5.audit import check_links
from rsciio_xfm.core.hdf5.links import open_checked
from rsciio_xfm.core.hdf5.open import GuardedFile, open_hdf5
from rsciio_xfm.core.hdf5.sizes import check_size
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from tests.builders import emd as emd_builder
from tests.builders import esrf as builder

VERSIONS = ("earliest", "v108", "v110", "latest")


def write(path, libver="earliest", track_order=False, n=3, **options):
    """Write texts of several lengths as attributes and datasets."""
    with h5py.File(path, "w", libver=libver, track_order=track_order, **options) as file:
        for i in range(n):
            file.attrs[f"a{i}"] = "x" * (11 + i)
        file.attrs["list"] = ["one", "three"]
        file["text"] = "y" * 23
        file.create_dataset("many", data=["a", "bb"], chunks=(1,))
        file["number"] = np.arange(3)
        file["number"].attrs["units"] = "s"
    return path


def damage(path, found, new):
    raw = bytearray(path.read_bytes())
    at = raw.find(found)
    assert at >= 0
    raw[at : at + len(new)] = new
    path.write_bytes(bytes(raw))
    return at


@pytest.mark.parametrize("libver", VERSIONS)
@pytest.mark.parametrize("track_order", [False, True])
@pytest.mark.parametrize("n", [3, 40])  # in the header of the object, and beyond
def test_whole(tmp_path, libver, track_order, n):
    path = write(tmp_path / "a.h5", libver, track_order, n)
    with open_hdf5(path) as file:
        assert [len(file.attrs[f"a{i}"]) for i in range(n)] == [11 + i for i in range(n)]
        assert list(file.attrs["list"]) == ["one", "three"]
        for name in ("text", "many", "number"):
            check_size(path, file[name])
        assert file["text"].asstr()[()] == "y" * 23
        assert list(file["many"].asstr()[()]) == ["a", "bb"]


def test_user_block(tmp_path):
    path = write(tmp_path / "a.h5", userblock_size=1024)
    with open_hdf5(path) as file:
        assert file.attrs["a0"] == "x" * 11
        check_size(path, file["text"])


@pytest.mark.parametrize("libver", ["earliest", "v108"])
@pytest.mark.parametrize("n", [3, 20])
def test_attribute_that_claims_much(tmp_path, libver, n):
    """HDF5 would make room for it, 4 GiB."""
    path = write(tmp_path / "a.h5", libver, n=n if libver == "earliest" else 3)
    at = damage(path, struct.pack("<I", 12), struct.pack("<I", 0xF0000000))
    with (
        pytest.raises(CorruptFileError, match=rf"'a1' claims 4026531840 .*\(byte {at}\)"),
        open_hdf5(path) as file,
    ):
        file.attrs["a1"]


@pytest.mark.parametrize(("name", "length"), [("text", 23), ("many", 2)])
def test_dataset_that_claims_much(tmp_path, name, length):
    path = write(tmp_path / "a.h5")
    with h5py.File(path) as file:
        dataset = file[name]
        at = dataset.id.get_offset() or dataset.id.get_chunk_info(1).byte_offset
    raw = bytearray(path.read_bytes())
    assert raw[at : at + 4] == struct.pack("<I", length)
    raw[at : at + 4] = struct.pack("<I", 2**31)
    path.write_bytes(bytes(raw))
    with (
        pytest.raises(
            CorruptFileError, match=rf"{name} claims 2147483648.*\(byte {at}\)"
        ),
        open_hdf5(path) as file,
    ):
        check_size(path, file[name])


@pytest.mark.parametrize("size", [0, 8, 2**40, 2**64 - 1])
def test_heap_that_never_ends(tmp_path, size):
    """HDF5 would go round in what is free for ever if it has no bytes."""
    path = write(tmp_path / "a.h5")
    raw = bytearray(path.read_bytes())
    heap = at = raw.find(b"GCOL")
    at += 16
    while (index := int.from_bytes(raw[at : at + 2], "little")) != 0:
        at += 16 + -(-int.from_bytes(raw[at + 8 : at + 16], "little") // 8) * 8
        assert index < 99
    raw[at + 8 : at + 16] = size.to_bytes(8, "little")
    path.write_bytes(bytes(raw))
    with (
        pytest.raises(CorruptFileError, match=rf"in a heap, expected .*\(byte {at}\)"),
        open_hdf5(path) as file,
    ):
        file["text"][()]
    raw[heap + 8 : heap + 16] = (2**50).to_bytes(8, "little")
    path.write_bytes(bytes(raw))
    with (
        pytest.raises(CorruptFileError, match=rf"a heap of 1125.* \(byte {heap}\)"),
        open_hdf5(path) as file,
    ):
        file["text"][()]


def test_heap_of_a_file_that_is_linked(tmp_path):
    """HDF5 opens it by its name, past the guard: it is looked at before."""
    write(tmp_path / "own.h5")
    raw = bytearray((tmp_path / "own.h5").read_bytes())
    at = raw.find(b"GCOL") + 16
    raw[at : at + 16] = bytes(16)
    (tmp_path / "own.h5").write_bytes(bytes(raw))
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file["1.1"] = h5py.ExternalLink("own.h5", "/")
    with pytest.raises(CorruptFileError, match=r"own.h5: .*0 bytes in a heap"):
        esrf.file_reader(tmp_path / "master.h5")


def test_opened_once(tmp_path, monkeypatch):
    path, opened = tmp_path / "a.h5", []
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(3)

    def note(self, *arguments, begin=GuardedFile.__init__):
        opened.append(arguments)
        begin(self, *arguments)

    monkeypatch.setattr(GuardedFile, "__init__", note)
    with open_checked(path) as file:
        assert file["data"][()].tolist() == [0, 1, 2]
    assert len(opened) == 1


def test_position_is_kept(tmp_path):
    path = write(tmp_path / "a.h5")
    with GuardedFile(path) as file, path.open("rb") as plain:
        for at, n in ((0, 5000), (100, 96), (0, 96), (2048, 4096)):
            buffers = bytearray(n), bytearray(n)
            for f, buffer in zip((file, plain), buffers, strict=True):
                f.seek(at)
                f.readinto(buffer)
            assert buffers[0] == buffers[1]
            assert file.tell() == plain.tell()


@pytest.mark.parametrize("libver", VERSIONS)
def test_longer_than_it_was(tmp_path, libver):
    path = write(tmp_path / "a.h5", libver)
    with open_checked(path):
        pass
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"more")
    match = f"has {size + 4} bytes, expected {size} by its header"
    with pytest.warns(UserWarning, match=match), open_checked(path):
        pass


class TestLinks:
    """Only to files in the folder of the file, or below, unless the user allows more."""

    @pytest.fixture
    def folders(self, tmp_path):
        """A scan in one folder, and a place for a file that points to it in another."""
        (tmp_path / "raw").mkdir()
        (tmp_path / "processed").mkdir()
        builder.write_bliss(tmp_path / "raw" / "scan.h5")
        return tmp_path / "raw" / "scan.h5", tmp_path / "processed" / "master.h5"

    @staticmethod
    def write_link(path, target):
        with h5py.File(path, "w") as file:
            file["1.1"] = h5py.ExternalLink(target, "/1.1")

    @staticmethod
    def write_virtual(path, target):
        name, shape, endless = (
            "1.1/instrument/fx1_det0/data",
            (35, 64),
            h5py.h5s.UNLIMITED,
        )
        source = h5py.h5s.create_simple(shape)
        space = h5py.h5s.create_simple(shape, (endless, 64))
        if "%b" in target:  # of each file a block
            space.select_hyperslab((0, 0), (endless, 1), (35, 64), (35, 64))
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_virtual(space, target.encode(), name.encode(), source)
        with h5py.File(path, "w") as file:
            group = file.create_group("entry")
            kind = h5py.h5t.NATIVE_UINT32
            h5py.h5d.create(group.id, b"mca", kind, space, creation)
            group["mca"].attrs["interpretation"] = "spectrum"

    @staticmethod
    def write_external(path, target):
        """Bytes of a dataset are those of any file."""
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset(
                "entry/mca", (35, 64), "u1", external=[(target, 0, 35 * 64)]
            )
            dataset.attrs["interpretation"] = "spectrum"

    @pytest.mark.parametrize("kind", ["link", "virtual", "external"])
    @pytest.mark.parametrize("is_absolute", [False, True])
    def test_outside(self, folders, kind, is_absolute, run, monkeypatch):
        scan, master = folders
        monkeypatch.chdir(master.parent)  # where HDF5 looks for bytes
        target = str(scan) if is_absolute else "../raw/scan.h5"
        getattr(self, f"write_{kind}")(master, target)
        for call in (esrf.file_reader, esrf.tree):
            with pytest.raises(FileFormatError, match=r"leads to .*scan.h5") as caught:
                call(master)
            assert "allow_outside_links=True" in str(caught.value)
            assert call(master, allow_outside_links=True)
        assert "allow-outside-links" in run("tree", master, code=1)
        assert "mca" in run("tree", master, "--allow-outside-links") or kind == "link"
        assert "allow-outside-links" in run("info", master, code=1)

    @pytest.mark.parametrize("kind", ["link", "virtual", "external"])
    def test_inside(self, folders, kind, monkeypatch):
        scan, _ = folders
        monkeypatch.chdir(scan.parent)
        (scan.parent / "below").mkdir()
        scan.rename(scan.parent / "below" / "scan.h5")
        master = scan.with_name("master.h5")
        getattr(self, f"write_{kind}")(master, "below/scan.h5")
        assert esrf.file_reader(master, lazy=True)[0]["data"].compute().any()

    def test_on_the_command_line(self, folders, run):
        _, master = folders
        self.write_link(master, "../raw/scan.h5")
        options = ("--allow-outside-links", "--dataset", "1.1/measurement/fx1_det0")
        run("spectrum", master, "-o", master.with_suffix(".msa"), *options)
        assert master.with_suffix(".msa").is_file()

    def test_by_way_of_another_file(self, folders):
        _, master = folders
        middle = master.with_name("middle.h5")
        self.write_link(master, "middle.h5")
        self.write_link(middle, "../raw/scan.h5")
        with pytest.raises(FileFormatError, match=r"middle.h5: a link"):
            esrf.file_reader(master)

    def test_by_a_link_of_the_system(self, folders):
        scan, master = folders
        os.symlink(scan, master.with_name("scan.h5"))
        self.write_link(master, "scan.h5")
        with pytest.raises(FileFormatError, match=r"leads to 'scan.h5', which is .*raw"):
            esrf.file_reader(master)

    def test_the_file_may_be_a_link_itself(self, folders):
        scan, master = folders
        os.symlink(scan, master)
        assert esrf.file_reader(master)

    def test_in_the_working_folder(self, folders, monkeypatch):
        """HDF5 looks there too."""
        scan, master = folders
        self.write_link(master, "scan.h5")
        monkeypatch.chdir(scan.parent)
        with pytest.raises(FileFormatError, match=r"which is .*raw"):
            esrf.file_reader(master)

    @pytest.mark.parametrize("kind", ["link", "virtual"])
    def test_nothing_there(self, folders, kind):
        _, master = folders
        getattr(self, f"write_{kind}")(master, "../nowhere.h5")
        with pytest.raises((FileNotFoundError, CorruptFileError, UserWarning)):
            esrf.file_reader(master)

    @pytest.mark.parametrize("name", ["pipe.h5", "pipe%"])
    def test_a_pipe(self, folders, name):
        """It would be waited for."""
        _, master = folders
        os.mkfifo(master.with_name(name))
        self.write_link(master, name)
        with pytest.raises(FileFormatError, match="pipe, expected a file"):
            esrf.file_reader(master)

    @pytest.mark.parametrize("kind", ["link", "virtual", "external"])
    def test_a_percent_sign(self, folders, kind, monkeypatch):
        """It stands for numbers in sources of virtual datasets only."""
        _, master = folders
        monkeypatch.chdir(master.parent)
        master.with_name("s%").mkdir()
        master.with_name("s0").mkdir()
        name = {"virtual": "s%b/../../raw/scan.h5"}.get(kind, "s%/../../raw/scan.h5")
        getattr(self, f"write_{kind}")(master, name)
        with pytest.raises(FileFormatError, match=r"which is .*raw"):
            esrf.file_reader(master)

    def test_numbered_sources(self, folders):
        """Each of those that are there is looked into."""
        scan, master = folders
        self.write_virtual(master, "s_%b.h5")
        own = master.with_name("s_0.h5")
        os.symlink(scan, own)
        with pytest.raises(FileFormatError, match=r"which is .*raw"):
            esrf.file_reader(master)
        own.unlink()
        with h5py.File(own, "w") as file:
            file["1.1"] = h5py.ExternalLink("../raw/scan.h5", "/1.1")
        with pytest.raises(FileFormatError, match=r"leads to '../raw/scan.h5'"):
            esrf.file_reader(master)
        own.unlink()
        shutil.copy(scan, own)
        assert esrf.file_reader(master, lazy=True)[0]["data"].shape == (35, 64)

    def test_behind_a_group_that_cannot_be_listed(self, folders, monkeypatch):
        """What is in it can be opened by its name all the same."""
        _, master = folders
        monkeypatch.chdir(master.parent)
        with h5py.File(master, "w") as file:
            deep = file.create_group("/".join(["d"] * 40))
            for i in range(60):
                deep[f"n{i:03d}"] = i
            size = 35 * 64
            data = deep.create_dataset(
                "mca", (35, 64), "u1", external=[("../raw/scan.h5", 0, size)]
            )
            data.attrs["interpretation"] = "spectrum"
            file["entry/mca"] = h5py.SoftLink(data.name)
        raw = bytearray(master.read_bytes())
        at = raw.rfind(b"SNOD")
        for _ in range(2):
            at = raw.rfind(b"SNOD", 0, at)
        raw[at] = 0
        master.write_bytes(bytes(raw))
        for options in ({}, {"dataset_path": "entry/mca"}):
            with pytest.raises(FileFormatError, match=r"leads to .*allow_outside"):
                esrf.file_reader(master, **options)
        with pytest.raises(CorruptFileError, match="cannot list all"):
            check_links(master)

    def test_another_candidate(self, folders, monkeypatch):
        """HDF5 goes on to the working folder if the first one is no HDF5 file."""
        scan, master = folders
        master.with_name("scan.h5").write_bytes(b"none")
        self.write_link(master, "scan.h5")
        monkeypatch.chdir(scan.parent)
        with pytest.raises(FileFormatError, match=r"which is .*raw"):
            esrf.file_reader(master)

    def test_emd_with_a_link_to_nothing(self, tmp_path):
        path = emd_builder.write_ncem(tmp_path / "map.emd")
        with h5py.File(path, "a") as file:
            file["note"] = h5py.ExternalLink("absent.h5", "/x")
        for lazy in (False, True):
            (signal,) = emd.file_reader(path, lazy=lazy)
            assert np.asarray(signal["data"]).any()

    def test_round(self, tmp_path):
        self.write_link(tmp_path / "a.h5", "b.h5")
        self.write_link(tmp_path / "b.h5", "a.h5")
        with pytest.raises((FileNotFoundError, FileFormatError)):
            esrf.file_reader(tmp_path / "a.h5")

    def test_emd(self, tmp_path):
        """Data are found without links; a link that is named, or audited, is refused."""
        (tmp_path / "below").mkdir()
        path = emd_builder.write_ncem(tmp_path / "below" / "map.emd")
        with h5py.File(path, "a") as file:
            file["other"] = h5py.ExternalLink("../other.h5", "/")
        write(tmp_path / "other.h5")
        (signal,) = emd.file_reader(path)
        assert signal["data"].any()
        for refused in (
            lambda: emd.file_reader(path, dataset_path="other/data"),
            lambda: check_links(path),
        ):
            with pytest.raises(FileFormatError, match=r"leads to '../other.h5'"):
                refused()

    def test_not_for_other_files(self, tmp_path):
        path = builder.write_line(tmp_path / "line.edf")
        with pytest.raises(FileFormatError, match="allow_outside_links given"):
            esrf.file_reader(path, allow_outside_links=True)

    def test_not_for_other_files_on_the_command_line(self, tmp_path, run):
        path = emd_builder.write_ncem(tmp_path / "map.emd")
        text = run("info", path, "--allow-outside-links", code=1)
        assert "--allow-outside-links is for HDF5 files" in text


PAIR = np.dtype([("a", "i4"), ("s", h5py.string_dtype())])


@pytest.mark.parametrize("kind", ["compound", "committed", "fill value", "array"])
def test_other_places_of_texts(tmp_path, kind):
    """Within other types, of named types, and in what stands for values that are not there."""
    path, text = tmp_path / "a.h5", "z" * 3210
    with h5py.File(path, "w") as file:
        data = file.create_dataset("entry/mca", data=np.ones((3, 64), "u2"))
        data.attrs["interpretation"] = "spectrum"
        if kind == "compound":
            data.attrs["x"] = np.array((1, text), dtype=PAIR)
        elif kind == "committed":
            file["type"] = h5py.string_dtype()
            data.attrs.create("x", text, dtype=file["type"])
        elif kind == "array":
            pairs = np.dtype([("a", "i4"), ("s", h5py.string_dtype(), (2,))])
            data.attrs["x"] = np.array((1, [text, text]), dtype=pairs)
        else:
            file.create_dataset(
                "entry/title", (1,), dtype=h5py.string_dtype(), fillvalue=text
            )
    assert esrf.file_reader(path)
    raw = path.read_bytes()
    at = raw.find(struct.pack("<I", 3210))
    while raw[int.from_bytes(raw[at + 4 : at + 12], "little") :][:4] != b"GCOL":
        at = raw.find(struct.pack("<I", 3210), at + 1)
    path.write_bytes(raw[:at] + struct.pack("<I", 0xE0000000) + raw[at + 4 :])
    with GuardedFile(path) as raw, h5py.File(raw, "r") as file:
        with pytest.raises(CorruptFileError, match=rf"claims 3758096384.*byte {at}\)"):
            file["entry/title" if kind == "fill value" else "entry/mca"]
        file.close()


@pytest.mark.parametrize("sizes", [(4, 4), (8, 4), (4, 8)])
def test_other_sizes_of_addresses(tmp_path, sizes):
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_sizes(*sizes)
    path = tmp_path / "a.h5"
    made = h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, creation)
    with h5py.File(made) as file:
        data = file.create_dataset("entry/mca", data=np.ones((3, 64), "u2"))
        data.attrs["interpretation"] = "spectrum"
        file["entry/title"] = "text"
    assert esrf.file_reader(path)[0]["data"].shape == (3, 64)


def test_a_heap_behind_another_type(tmp_path):
    """Beside a link to another file, for which HDF5 opens the file by its name."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["entry/mca"] = np.ones((3, 64), "u2")
        file["entry/mca"].attrs["interpretation"] = np.array((1, "text"), dtype=PAIR)
        file["x"] = h5py.ExternalLink("nowhere.h5", "/")
    raw = bytearray(path.read_bytes())
    at = raw.find(b"GCOL") + 16
    raw[at : at + 16] = bytes(16)
    path.write_bytes(bytes(raw))
    with (
        pytest.warns(UserWarning, match="cannot read entry/mca"),
        pytest.raises(FileNotFoundError, match=r"nowhere.h5"),
    ):
        esrf.file_reader(path)
    with pytest.raises(CorruptFileError, match="0 bytes in a heap"):
        check_links(path)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_in_bounded_memory(tmp_path):
    """The process does not grow by what a text claims."""
    path = write(tmp_path / "a.h5")
    damage(path, struct.pack("<I", 12), struct.pack("<I", 0xF0000000))
    code = f"""
from rsciio_xfm.core.hdf5.open import open_hdf5
try:
    with open_hdf5({str(path)!r}) as file:
        file.attrs["a1"]
except ValueError:
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    raise SystemExit(int(line.split()[1]) > 700 * 1024)
raise SystemExit(2)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd())
    assert done.returncode == 0


class TestBeingWritten:
    """The writer is another process: HDF5 shares what it knows within one."""

    WRITE = textwrap.dedent(
        """
        import sys
        import h5py
        import numpy as np

        path, kind = sys.argv[1:]
        file = h5py.File(path, "w", libver=None if kind == "old" else "latest")
        options = {"maxshape": (None, 8), "chunks": (1, 8)}
        file.create_dataset("mca", data=np.ones((3, 8), "u4"), **options)
        if kind == "swmr":
            file.swmr_mode = True
        elif kind == "open":
            file.flush()
        print("ready", flush=True)
        sys.stdin.read()
        """
    )

    @pytest.fixture
    def writer(self, tmp_path):
        """Begin to write a file, and close it after the test."""
        with contextlib.ExitStack() as stack:

            def begin(kind):
                path = tmp_path / "a.h5"
                command = [sys.executable, "-c", self.WRITE, str(path), kind]
                pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
                process = stack.enter_context(subprocess.Popen(command, **pipes))
                stack.callback(process.communicate)
                assert process.stdout.readline().strip() == b"ready"
                return path

            yield begin

    @pytest.mark.parametrize("kind", ["swmr", "open"])
    def test_can_be_read(self, writer, kind):
        path = writer(kind)
        way = r" \(SWMR\)" if kind == "swmr" else ""
        match = f"a.h5: the file says that a program has it open for writing{way}: "
        with pytest.warns(UserWarning, match=match):
            (signal,) = esrf.file_reader(path)
        assert signal["data"].tolist() == np.ones((3, 8)).tolist()

    @pytest.mark.parametrize("kind", ["swmr", "open"])
    def test_marked_and_damaged(self, writer, kind):
        path = writer(kind)
        copy = path.with_name("b.h5")
        copy.write_bytes(path.read_bytes()[:100])
        match = (
            "A program has it open for writing.* load it when it is closed.*h5clear -s"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(CorruptFileError, match=match):
                esrf.file_reader(copy)

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has other locks")
    def test_locked(self, writer):
        """Without flags, nothing but HDF5's lock tells."""
        path = writer("old")
        match = "A program has it open for writing: load it when it is closed"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(CorruptFileError, match=match) as caught:
                esrf.file_reader(path)
            assert "h5clear" not in str(caught.value)
            copy = path.with_name("b.h5")
            copy.write_bytes(path.read_bytes())
            with pytest.raises(CorruptFileError, match="damaged, or was not written to"):
                esrf.file_reader(copy)

    def test_closed(self, tmp_path):
        path = tmp_path / "a.h5"
        subprocess.run(
            [sys.executable, "-c", self.WRITE, str(path), "swmr"],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        (signal,) = esrf.file_reader(path)
        assert signal["data"].shape == (3, 8)


class TestOnTheWay:
    """What is named is found without looking at the rest of the file."""

    @pytest.fixture
    def large(self, tmp_path):
        """A scan with 400 counters, and a link that leads out of the folder."""
        folder = tmp_path / "below"
        folder.mkdir()
        path = folder / "scan.h5"
        builder.write_bliss(path)
        write(tmp_path / "other.h5")
        with h5py.File(path, "a") as file:
            for i in range(400):
                data = file.create_dataset(
                    f"1.1/instrument/c{i}/data", data=np.arange(35)
                )
                file[f"1.1/measurement/c{i}"] = h5py.SoftLink(data.name)
        return path

    @pytest.mark.parametrize(
        "name",
        [
            "1.1/measurement/fx1_det0",
            "1.1/instrument/fx1_det0/data",
            "/1.1//measurement/c7",
        ],
    )
    def test_as_if_all_were_looked_at(self, large, name, monkeypatch):
        (found,) = esrf.file_reader(large, dataset_path=name)
        monkeypatch.setattr("rsciio_xfm.formats.hdf5_maps.find._MOST_OPENED", 10**6)
        (expected,) = esrf.file_reader(large, dataset_path=name)
        np.testing.assert_array_equal(found.pop("data"), expected.pop("data"))
        assert repr(found) == repr(expected)

    def test_links_elsewhere(self, large):
        with h5py.File(large, "a") as file:
            file["2.1"] = h5py.ExternalLink("../other.h5", "/")
        assert esrf.file_reader(large, dataset_path="1.1/measurement/fx1_det0")
        for options in ({}, {"dataset_path": "2.1"}, {"dataset_path": "2.1/number"}):
            with pytest.raises(FileFormatError, match=r"leads to '../other.h5'"):
                esrf.file_reader(large, **options)
        with pytest.raises(FileFormatError, match=r"leads to '../other.h5'"):
            check_links(large)

    def test_few_are_opened(self, large, monkeypatch):
        opened = []
        real = h5py.h5o.open
        monkeypatch.setattr(
            h5py.h5o, "open", lambda *a, **k: opened.append(a) or real(*a, **k)
        )
        esrf.file_reader(large, dataset_path="1.1/measurement/fx1_det0", lazy=True)
        assert len(opened) < 300

    def test_links_that_go_round(self, tmp_path):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
            file["self"] = h5py.ExternalLink("a.h5", "/self")
            file["group/up"] = h5py.SoftLink("/group")
        with open_checked(path) as file:
            assert "a" not in file
            assert file.get("self") is None
            assert file["group/up/up/up"].name == "/group"
            assert file["group/up"].parent.name == "/"
            with pytest.raises(KeyError, match="too many links"):
                file["a"]

    def test_virtual_of_virtual(self, tmp_path):
        """The innermost file is looked at too, and named if it is gone."""
        shape = (3, 64)
        with h5py.File(tmp_path / "c.h5", "w") as file:
            file["data"] = np.ones(shape, "u2")
        for outer, inner in (("b", "c"), ("a", "b")):
            layout = h5py.VirtualLayout(shape, "u2")
            layout[:] = h5py.VirtualSource(f"{inner}.h5", "data", shape)
            with h5py.File(tmp_path / f"{outer}.h5", "w") as file:
                file.create_virtual_dataset("data", layout)
        with open_checked(tmp_path / "a.h5") as file:
            found = [Path(path).name for path, _ in file["data"].parts.files]
            assert sorted(found) == ["b.h5", "c.h5"]
            assert file["data"][()].all()
        (tmp_path / "c.h5").unlink()
        with open_checked(tmp_path / "a.h5") as file:
            assert file["data"].parts.missing == ("data of the file c.h5",)
