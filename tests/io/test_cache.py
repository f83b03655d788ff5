"""The cache of indices: used if it is of this very file, else as if it were not there."""

import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from rsciio_xfm import geopixe
from rsciio_xfm.core import cache
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.geopixe import index as _index
from rsciio_xfm.formats.geopixe.index import cached_at, read_index
from rsciio_xfm.formats.geopixe.parse import read_header
from tests.builders import geopixe as builder


@pytest.fixture(autouse=True)
def small_files_too(monkeypatch):
    monkeypatch.setattr(cache, "CACHED_FILE_BYTES", 0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "cache"))
    return tmp_path / "cache"


def age(path, seconds=3600):
    moment = time.time() - seconds
    os.utime(path, (moment, moment))
    return path


@pytest.fixture
def path(tmp_path, folder):
    return age(builder.write_map(tmp_path / "map.GeoPIXE"))


@pytest.fixture
def builds(monkeypatch):
    """How often an index was made."""
    made = []
    build = _index.build_index

    def count(*arguments):
        made.append(arguments)
        return build(*arguments)

    monkeypatch.setattr(_index, "build_index", count)
    return made


def read(path, **kwds):
    (map_,) = geopixe.file_reader(path, lazy=True, **kwds)
    return map_["data"].compute()


class TestReuse:
    def test_same_index(self, path, builds, folder):
        header = read_header(path)
        assert cached_at(header) is None
        first = read_index(path, header)
        again = read_index(path, header)
        assert len(builds) == 1
        assert cached_at(header).parent == folder
        for name, value in vars(first).items():
            found = getattr(again, name)
            np.testing.assert_array_equal(found, value)
            assert type(found) is type(value)
            assert getattr(found, "dtype", None) == getattr(value, "dtype", None)

    def test_same_counts(self, path, builds):
        expected = read(path, cache=False)
        for _ in range(3):
            np.testing.assert_array_equal(read(path), expected)
        assert len(builds) == 2

    def test_in_another_process(self, path):
        read(path)
        code = (
            "import sys; from rsciio_xfm.core import cache; cache.CACHED_FILE_BYTES = 0\n"
            "from rsciio_xfm.formats.geopixe import index as _index, file_reader\n"
            "_index.build_index = None\n"
            "print(file_reader(sys.argv[1], lazy=True)[0]['data'].sum().compute())"
        )
        result = subprocess.run(
            [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
        )
        assert int(result.stdout) == read(path).sum()

    def test_relative_paths(self, path, builds, monkeypatch):
        read(path)
        monkeypatch.chdir(path.parent)
        read(path.name)
        assert len(builds) == 1

    def test_warnings_are_the_same(self, tmp_path, folder, builds):
        records = builder.random_records()[:-7]
        path = builder.write(tmp_path / "cut.GeoPIXE", builder.header_tree(), records)
        age(path)
        texts = []
        for _ in range(2):
            with pytest.warns(UserWarning, match="4 of 35 pixels are missing") as caught:
                read(path)
            texts.append(str(caught[0].message))
        assert len(builds) == 1
        assert texts[0] == texts[1]

    def test_cropping_uses_it(self, path, tmp_path, builds):
        read(path)
        geopixe.crop(path, tmp_path / "o.GeoPIXE", x=(1, 3))
        assert len(builds) == 1


class TestStale:
    @pytest.mark.parametrize("what", ["content", "time", "header", "other", "replaced"])
    def test_another_file(self, path, tmp_path, builds, what):
        read(path)
        stamp = path.stat().st_mtime_ns
        time.sleep(0.02)
        if what == "time":
            age(path, 7200)
        elif what == "header":
            content = path.read_bytes().replace(b"Mo", b"Rh")
            path.write_bytes(content)
            os.utime(path, ns=(stamp, stamp))
        elif what == "replaced":  # same size, time and header: a copy
            shutil.copy2(path, tmp_path / "copy")
            os.replace(tmp_path / "copy", path)
        else:
            builder.write_map(path, seed=1 if what == "content" else 2)
            age(path)
        np.testing.assert_array_equal(read(path), read(path, cache=False))
        assert len(builds) == 3

    @pytest.mark.parametrize("how", ["empty", "cut", "noise", "flipped", "folder"])
    def test_damaged(self, path, builds, folder, how):
        expected = read(path)
        (entry,) = folder.iterdir()
        content = entry.read_bytes()
        if how == "folder":
            entry.unlink()
            entry.mkdir()
        elif how == "flipped":
            for at in range(0, len(content), 7):
                changed = bytearray(content)
                changed[at] ^= 0x55
                entry.write_bytes(changed)
                np.testing.assert_array_equal(read(path), expected)
            return
        else:
            entry.write_bytes(
                {"empty": b"", "cut": content[:300], "noise": bytes(500)}[how]
            )
        np.testing.assert_array_equal(read(path), expected)
        assert len(builds) == 2

    @pytest.mark.parametrize(
        "change",
        [
            {"dead_time": np.zeros((2, 5, 7))},
            {"dead_time": np.zeros((2, 5, 6), np.float32)},
            {"row_pointer": np.zeros(3, np.int64)},
            {"row_pointer": np.array([0, 1, 9, 3, 4, 5])},
            {"run_start": np.arange(5) * 10**9},
            {"run_start": np.full(5, -8)},
            {"run_length": np.arange(5)},
            {"n_records": np.zeros((2, 2), np.int64)},
            {"stop": np.array([1, 2])},
            {"more": np.zeros(1)},
        ],
    )
    def test_of_another_map(self, path, builds, change):
        header = read_header(path)
        index = vars(read_index(path, header))
        _index._entry(header).save(index | change)
        read_index(path, header)
        assert len(builds) == 2

    def test_just_written(self, tmp_path, folder, builds):
        path = builder.write_map(tmp_path / "map.GeoPIXE")
        read(path)
        read(path)
        assert len(builds) == 2
        assert not folder.exists()


def rewrite(path):
    """Put the rows of a file into another order; size, time and number on the disk stay."""
    before = path.stat()
    time.sleep(0.02)  # the time of the change is not finer than some ms
    records = builder.random_records()
    rows = [records[14 * y : 14 * y + 14] for y in (3, 1, 4, 0, 2)]
    with path.open("r+b") as file:
        file.seek(-sum(map(len, records)), os.SEEK_END)
        file.write(b"".join(r for row in rows for r in row))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    for name in ("st_size", "st_mtime_ns", "st_ino"):
        assert getattr(after, name) == getattr(before, name)


class TestInPlace:
    """What ``rsync --inplace -t`` does, and who restores a file into itself."""

    def test_in_another_process(self, path):
        expected = read(path)
        rewrite(path)
        code = (
            "import sys; from rsciio_xfm.core import cache; cache.CACHED_FILE_BYTES = 0\n"
            "from rsciio_xfm.formats.geopixe import file_reader\n"
            "for lazy, chunks in ((True, (1, -1, -1)), (False, 'auto')):\n"
            "    data = file_reader(sys.argv[1], lazy=lazy, chunks=chunks)[0]['data']\n"
            "    print(*[int(row.sum()) for row in data])"
        )
        result = subprocess.run(
            [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
        )
        sums = [str(row.sum()) for row in expected]
        assert [line.split() for line in result.stdout.splitlines()] == [sums, sums]

    def test_where_the_system_keeps_no_time(self, path, monkeypatch):
        """The decoder says so, and how to go on."""
        monkeypatch.setattr(cache, "change_time", lambda path: 0)
        expected = read(path)
        rewrite(path)
        for lazy in (True, False):
            with pytest.raises(CorruptFileError, match="load it again with cache=False"):
                np.asarray(geopixe.file_reader(path, lazy=lazy)[0]["data"])
        np.testing.assert_array_equal(read(path, cache=False), expected)

    @pytest.mark.parametrize("how", ["mode", "link"])
    def test_changes_of_other_things(self, path, builds, how):
        """The index is made anew, and a signal that is open goes on."""
        (opened,) = geopixe.file_reader(path, lazy=True)
        if how == "mode":
            path.chmod(0o600)
        else:
            os.link(path, path.with_name("link"))
        expected = read(path)
        np.testing.assert_array_equal(opened["data"].compute(), expected)
        assert len(builds) == 2
        read(path)
        assert len(builds) == 2


class TestOff:
    def test_by_the_reader(self, path, folder, builds):
        read(path, cache=False)
        read(path, cache=False)
        assert len(builds) == 2
        assert not folder.exists()

    @pytest.mark.parametrize("value", ["0", "off", "NO", "False"])
    def test_by_the_environment(self, path, folder, monkeypatch, value):
        monkeypatch.setenv(cache.SWITCH, value)
        read(path)
        assert not folder.exists()

    def test_small_files(self, path, folder, monkeypatch):
        monkeypatch.setattr(cache, "CACHED_FILE_BYTES", path.stat().st_size + 1)
        read(path)
        assert not folder.exists()

    def test_cannot_be_written(self, path, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("no folder")
        monkeypatch.setenv(cache.FOLDER, str(tmp_path / "file" / "cache"))
        assert read(path).sum() > 0

    def test_no_home(self, path, monkeypatch):
        monkeypatch.delenv(cache.FOLDER)

        def fail(self):
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(cache.Path, "expanduser", fail)
        assert read(path).sum() > 0

    def test_disk_full(self, path, folder, monkeypatch):
        def fail(file, **arrays):
            file.write(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(cache.np, "savez", fail)
        assert read(path).sum() > 0
        assert list(folder.iterdir()) == []


def test_the_system_s_folder(monkeypatch, tmp_path):
    monkeypatch.delenv(cache.FOLDER)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "rsciio_xfm"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.folder().parts[-3:] == ("Library", "Caches", "rsciio_xfm")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache.folder() == tmp_path / "rsciio_xfm"


def test_oldest_are_deleted(tmp_path, folder, monkeypatch):
    paths = [age(builder.write_map(tmp_path / f"{i}.GeoPIXE")) for i in range(4)]
    for path in paths[:3]:
        read(path)
    size = max(entry.stat().st_size for entry in folder.iterdir())
    monkeypatch.setattr(cache, "CACHE_BYTES", 3 * size)
    for i, path in enumerate(paths[:3]):
        age(cached_at(read_header(path)), 1000 - i)
    read(paths[0])  # it is in use
    read(paths[3])
    kept = [cached_at(read_header(path)) is not None for path in paths]
    assert kept == [True, False, True, True]
