"""HDF5 maps as beamlines and programs lay them out, each written by what their readers say.

Nothing here imports the package. Every builder returns the truth: `counts` (detector, y, x,
channel), `dead_time` in percent (detector, y, x), NaN where it is not known.
"""

import h5py
import numpy as np

SHAPE = (4, 5)
N_CHANNELS = 128
CLOCK = 80e6  # ticks of Xspress3 in a second


def make_counts(
    n_detectors=4, shape=SHAPE, n_channels=N_CHANNELS, dtype=np.uint32, seed=0
):
    """Counts that are different everywhere."""
    rng = np.random.default_rng(seed)
    size = (n_detectors, *shape, n_channels)
    return rng.poisson(rng.uniform(1, 20, size)).astype(dtype)


def scalers_of(counts, seconds=0.01, width=5, seed=1):
    """What Xspress3 counts beside spectra (detector, ..., channel), and the dead time."""
    rng = np.random.default_rng(seed)
    pixels = counts.shape[:-1]
    ticks = np.round(CLOCK * seconds * rng.uniform(0.98, 1.02, pixels))
    events = np.round(counts.sum(-1) * rng.uniform(1.1, 1.3, pixels))
    resets = np.round(ticks * rng.uniform(0.01, 0.05, pixels))
    dead = events * (width + 1) + resets
    found = {"SCA0": ticks, "SCA1": resets, "SCA2": resets // 90, "SCA3": events}
    found |= {"SCA4": events - 1, "EventWidth": np.full(pixels, float(width))}
    found |= {"DTFactor": ticks / (ticks - dead), "DTPercent": 100 * dead / ticks}
    return found, 100 * dead / ticks


def put_scalers(group, scalers, keys):
    """Write counters (detector, point) as areaDetector names them."""
    for key in keys:
        for i, values in enumerate(scalers[key]):
            group[f"CHAN{i + 1}{key}"] = values


SCA = ("SCA0", "SCA1", "SCA2", "SCA3", "SCA4")
KEYS = (*SCA, "EventWidth", "DTFactor", "DTPercent")


def write_xspress3(
    path,
    counts,
    scalers,
    keys=KEYS,
    name="entry/instrument/detector/data",
    attributes="entry/instrument/NDAttributes",
    **options,
):
    """Write a file of areaDetector: counts (detector, point, channel)."""
    with h5py.File(path, "w") as file:
        data = np.ascontiguousarray(np.moveaxis(counts, 0, 1))
        options = {"chunks": (1, *data.shape[1:])} | options
        file.create_dataset(name, data=data, **options)
        if name == "entry/instrument/detector/data":
            file["entry/data/data"] = file[name]
        if attributes:
            put_scalers(file.require_group(attributes), scalers, keys)
            n = len(next(iter(scalers.values()))[0])
            file[f"{attributes}/NDArrayUniqueId"] = np.arange(n)


def flat(values):
    """Pixels in the order of the scan."""
    return values.reshape(values.shape[0], -1, *values.shape[3:])


def write_area_detector(path, shape=SHAPE, n_detectors=4, dtype=np.uint32, **options):
    """Write a whole map in one file; it does not say its shape."""
    counts = make_counts(n_detectors, shape, dtype=dtype)
    scalers, dead_time = scalers_of(counts)
    points = {key: flat(values) for key, values in scalers.items()}
    write_xspress3(path, flat(counts), points, **options)
    return {"counts": counts, "dead_time": dead_time, "scalers": scalers}


def write_rows(folder, shape=SHAPE, n_detectors=4, pattern="row_{:04d}.h5", **options):
    """Write a file of areaDetector for each row."""
    folder.mkdir(exist_ok=True)
    counts = make_counts(n_detectors, shape)
    scalers, dead_time = scalers_of(counts)
    for row in range(shape[0]):
        own = {key: values[:, row] for key, values in scalers.items()}
        write_xspress3(folder / pattern.format(row + 1), counts[:, row], own, **options)
    return {"counts": counts, "dead_time": dead_time, "scalers": scalers}


def positions_of(shape, is_snake=False):
    """Where x and y are at each point, in the order of the scan."""
    y, x = np.meshgrid(2.0 + 0.5 * np.arange(shape[0]), -1.0 + 0.25 * np.arange(shape[1]),
                       indexing="ij")  # fmt: skip
    if is_snake:
        x[1::2] = x[1::2, ::-1].copy()
    return {"x": x.ravel(), "y": y.ravel()}


def in_order(counts, is_snake):
    """Pixels (detector, y, x, ...) in the order of the scan."""
    scanned = counts.copy()
    if is_snake:
        scanned[:, 1::2] = scanned[:, 1::2, ::-1]
    return flat(scanned)


def write_aps_u(folder, shape=SHAPE, missing=(), is_snake=False, detector="XRF_ME7"):
    """Write a master of APS-U, files of rows in a folder below, positions of each point."""
    (folder / detector).mkdir(parents=True, exist_ok=True)
    counts = make_counts(4, shape)
    scalers, dead_time = scalers_of(counts)
    turn = np.s_[:, 1::2, ::-1] if is_snake else None
    own = {"counts": counts.copy()} | {k: v.copy() for k, v in scalers.items()}
    for values in own.values() if turn else ():
        values[:, 1::2] = values[turn].copy()
    master = folder / "scan_0007_master.h5"
    with h5py.File(master, "w") as file:
        for row in range(shape[0]):
            name = f"scan_0007_{row + 1:05d}.h5"
            rows = {key: values[:, row] for key, values in own.items()}
            if row not in missing:
                write_xspress3(folder / detector / name, rows.pop("counts"), rows)
            link = h5py.ExternalLink(f"{detector}/{name}", "/")
            file[f"detectors/{detector}/{name}"] = link
        where = positions_of(shape, is_snake)
        with h5py.File(folder / "positions.h5", "w") as other:
            other["stream/Encoder1"], other["stream/Encoder2"] = where["x"], where["y"]
        file["positions/positions.h5"] = h5py.ExternalLink("positions.h5", "/")
    counts[:, list(missing)], dead_time[:, list(missing)] = 0, np.nan
    return master, {"counts": counts, "dead_time": dead_time}


def write_nanomax(path, shape=SHAPE, n_points=None, is_snake=False, name="xspress3/data"):
    """Write a fly scan of NanoMAX: the fast motor first in the command, intervals."""
    counts = make_counts(4, shape)
    with h5py.File(path, "w") as file:
        command = (
            f"npointflyscan sx -1 0 {shape[1] - 1} sy 2 3.5 {shape[0] - 1} 0.1 0.003"
        )
        file["entry/description"] = [command.encode()]
        data = np.moveaxis(in_order(counts, is_snake), 0, 1)[:n_points]
        file[f"entry/measurement/{name}"] = data
        for key, values in positions_of(shape, is_snake).items():
            file[f"entry/measurement/pseudo/{key}"] = values[:n_points]
    kept = counts.reshape(4, -1, N_CHANNELS).copy()
    if n_points is not None and not is_snake:
        kept[:, n_points:] = 0
    return {"counts": kept.reshape(counts.shape), "dead_time": None}


def write_p06(folder, shape=SHAPE, n_detectors=2, per_file=8, missing=(), master=False):
    """Write files of so many points each, as the Xspress3 of PETRA III, and a master."""
    folder.mkdir(exist_ok=True)
    counts = make_counts(n_detectors, shape)
    rng = np.random.default_rng(3)
    points = flat(counts)
    total = np.round(8e5 * rng.uniform(0.9, 1.1, points.shape[:2]))
    dead = np.round(total * rng.uniform(0.01, 0.2, points.shape[:2]))
    dead_time = 100 * dead / total
    n, links = points.shape[1], {}
    for k, start in enumerate(range(0, n, per_file)):
        own = slice(start, min(n, start + per_file))
        name = f"xspress3_00012_{k:05d}.nxs"
        for i in range(n_detectors):
            links[f"channel{i:02d}_f{k:05d}"] = (
                name, f"/entry/instrument/xspress3/channel{i:02d}/histogram",
            )  # fmt: skip
        if k in missing:
            points[:, own], dead_time[:, own] = 0, np.nan
            continue
        with h5py.File(folder / name, "w") as file:
            for i in range(n_detectors):
                group = f"entry/instrument/xspress3/channel{i:02d}"
                file[f"{group}/histogram"] = points[i, own]
                file[f"{group}/totalticks"] = total[i, own]
                file[f"{group}/deadtimeticks"] = dead[i, own]
            numbers = np.arange(own.start, own.stop) + 1
            file["entry/instrument/detector/sequence_number"] = numbers
    if master:
        with h5py.File(folder / "scan_00012.nxs", "w") as file:
            for name, link in links.items():
                file[f"scan/instrument/xspress3/collection/{name}"] = h5py.ExternalLink(
                    *link
                )
            file["scan/title"] = f"mesh x -1 0 {shape[1] - 1} y 2 3.5 {shape[0] - 1} 0.1"
            for key, values in positions_of(shape).items():
                file[f"scan/data/{key}"] = values
    shaped = points.reshape(counts.shape)
    return {"counts": shaped, "dead_time": dead_time.reshape(counts.shape[:-1])}


def write_soleil(path, shape=SHAPE, n_detectors=2, is_flat=False, keys=None):
    """Write a flyscan of SOLEIL: one dataset a detector, dead times in percent."""
    counts = make_counts(n_detectors, shape)
    rng = np.random.default_rng(4)
    pixels = counts.shape[:-1]
    icr = rng.uniform(1e4, 1e5, pixels)
    dead = rng.uniform(1, 30, pixels)
    real = rng.uniform(0.099, 0.101, pixels)
    values = {"deadtime": dead, "icr": icr, "ocr": icr * (1 - dead / 100)}
    values |= {"realtime": real, "livetime": real * (1 - dead / 100)}
    with h5py.File(path, "w") as file:
        scan = file.create_group("flyscan_00012/scan_data")
        for i in range(n_detectors):
            data = counts[i].reshape(-1, N_CHANNELS) if is_flat else counts[i]
            scan[f"channel{i:02d}"] = data
            for key in values if keys is None else keys:
                scan[f"{key}{i:02d}"] = values[key][i].reshape(data.shape[:-1])
    return {"counts": counts, "dead_time": dead}


def write_sgm(path, shape=SHAPE, n_detectors=2):
    """Write an interpolated map of CLS SGM: x first, energies in eV."""
    counts = make_counts(n_detectors, shape).astype(np.float64)
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry1")
        entry.attrs["NX_class"] = "NXentry"
        data = entry.create_group("map1")
        data.attrs["NX_class"], data.attrs["axes"] = "NXdata", ["xp", "yp"]
        where = positions_of(shape)
        data["xp"] = where["x"][: shape[1]]
        data["yp"] = where["y"][:: shape[1]]
        data["en"], data["emission"] = 700.0, 10.0 * np.arange(N_CHANNELS)
        for i in range(n_detectors):
            data[f"sdd{i + 1}"] = counts[i].transpose(1, 0, 2)
        data["i0"] = np.ones(shape[::-1])
    return {"counts": counts, "dead_time": None}


def write_diamond(path, shape=SHAPE, n_detectors=4):
    """Write an NXdata group that says what its signal is, of several detectors."""
    counts = make_counts(n_detectors, shape)
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/xspress3")
        attrs = {"NX_class": "NXdata", "signal": "data", "interpretation": "spectrum"}
        group.attrs.update(attrs)
        group.attrs["axes"] = ["sy", "sx", ".", "."]
        group["data"] = counts.transpose(1, 2, 0, 3)
        where = positions_of(shape)
        group["sx"], group["sy"] = where["x"][: shape[1]], where["y"][:: shape[1]]
    return {"counts": counts, "dead_time": None}


def write_maps_raw(path, counts=None, seed=5):
    """Write a map of MAPS_RAW, channels first, int16 that count on beyond 32 767."""
    counts = make_counts(4, dtype=np.uint16) if counts is None else counts
    rng = np.random.default_rng(seed)
    pixels = counts.shape[:-1]
    real = rng.uniform(0.099, 0.101, pixels).astype("f4")
    live = (real * rng.uniform(0.7, 0.9, pixels)).astype("f4")
    with h5py.File(path, "w") as file:
        group = file.create_group("MAPS_RAW")
        for letter, own in zip("abcd", counts, strict=True):
            data = np.moveaxis(own, -1, 0).astype(np.uint16).view(np.int16)
            chunks = (data.shape[0], 1, data.shape[2])
            group.create_dataset(
                f"data_{letter}", data=data, chunks=chunks, compression="gzip"
            )
        group["realtime"], group["livetime"] = real, live
        group["inputcounts"] = group["ouputcounts"] = np.zeros(pixels, "f4")
    dead_time = 100 * (1 - live.astype(float) / real.astype(float))
    return {"counts": counts, "dead_time": dead_time}
