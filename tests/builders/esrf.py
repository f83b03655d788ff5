"""Maps as synchrotrons write them (Bliss, XIA EDF, SPEC, XRM, MAPS ...).

Nothing here imports the package. Every builder returns the truth: `counts` are always
(detector, y, x, channel), times and rates (detector, y, x), positions (y, x).
"""

import os

import fabio.edfimage
import h5py
import numpy as np

TIMES = (
    *("elapsed_time", "live_time", "trigger_live_time", "trigger_count_rate"),
    *("event_count_rate", "triggers", "events", "fractional_dead_time"),
)
XMAP = {  # name of ID13 -> name of the older controller
    "elapsed_time": "elapsed_time",
    "live_time": "live_time",
    "trigger_count_rate": "input_rate",
    "event_count_rate": "output_rate",
    "triggers": "input_counts",
    "events": "output_counts",
    "fractional_dead_time": "dead_time",
}
PYXRF = (
    "file_type=XRF-MAP file_format=NSLS2-XRF-MAP file_format_version=1.0 "
    "file_software=PyXRF scan_time_start=2024-03-05T10:11:12+00:00"
)
COORDINATES = (("sampy", 10.0, 2.0), ("sampz", -3.0, 0.5))  # fast and slow motor


def make_counts(shape, seed=0, dtype=np.uint32):
    """Counts that are different everywhere, and in every spectrum."""
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.uniform(1, 20, shape)).astype(dtype)


def make_times(counts, seed=0, seconds=0.1, missing=()):
    """Times and rates of the spectra, consistent, with a dead time of each.

    Rates (and live times) are zero in pixels `missing` (flat indices of y, x).
    """
    rng = np.random.default_rng(seed + 1000)
    shape = counts.shape[:-1]
    events = counts.sum(-1, dtype=float).round()
    real = seconds * rng.uniform(0.95, 1.05, shape)
    dead = rng.uniform(0.05, 0.4, shape)
    fast_live = real * (1 - 0.05 * dead)
    triggers = (events / (1 - dead) * (1 - 0.05 * dead)).round()
    icr, ocr = triggers / fast_live, events / real
    values = (
        real,
        real * ocr / icr,
        fast_live,
        icr,
        ocr,
        triggers,
        events,
        1 - ocr / icr,
    )
    times = dict(zip(TIMES, values, strict=True))
    for name in TIMES[1:]:
        for array in times[name].reshape(shape[0], -1):
            array[list(missing)] = 0
    for name in ("triggers", "events"):
        times[name] = times[name].astype(np.uint32)
    return times


def make_positions(shape, jitter=0.0, seed=0, coordinates=COORDINATES):
    """Nominal positions x and y, and where the motors were (fraction of a step away)."""
    rng = np.random.default_rng(seed + 2000)
    ny, nx = shape
    x, y = (
        s + d * np.arange(n) for (_, s, d), n in zip(coordinates, (nx, ny), strict=True)
    )
    slow, fast = np.meshgrid(y, x, indexing="ij")
    fast = fast + coordinates[0][2] * jitter * rng.uniform(-1, 1, shape)
    slow = slow + coordinates[1][2] * jitter * rng.uniform(-1, 1, shape)
    return {"x": x, "y": y, "fast": fast, "slow": slow}


def in_order(shape, is_snake=False, n_points=None):
    """Flat indices of pixels in order of acquisition."""
    order = np.arange(np.prod(shape)).reshape(shape)
    if is_snake:
        order[1::2] = order[1::2, ::-1].copy()
    return order.ravel()[:n_points]


def keep(image, order, n_leading=0, fill=0):
    """Set to `fill` what was not acquired."""
    n = image.shape[n_leading : n_leading + 2]
    flat = image.reshape(
        *image.shape[:n_leading], n[0] * n[1], *image.shape[n_leading + 2 :]
    )
    is_missing = np.ones(n[0] * n[1], bool)
    is_missing[order] = False
    out = flat.copy()
    out[(slice(None),) * n_leading + (is_missing,)] = fill
    return out.reshape(image.shape)


def nx(parent, name, kind):
    group = parent.require_group(name)
    group.attrs["NX_class"] = kind
    return group


def put(group, name, data, units=None, **kwds):
    dataset = group.create_dataset(name, data=data, **kwds)
    if units:
        dataset.attrs["units"] = units
    return dataset


# Bliss --------------------------------------------------------------------------------


def bliss_title(scan, shape, seconds, coordinates):
    """Return the command, where numbers of SPEC's kind are of intervals."""
    (fast, x0, dx), (slow, y0, dy) = coordinates
    ny, nx_ = shape
    x1, y1 = x0 + dx * (nx_ - 1), y0 + dy * (ny - 1)
    first = f"{fast} {x0:g} {x1:g} {nx_ - 1}"
    return {
        "amesh": f"amesh {first} {slow} {y0:g} {y1:g} {ny - 1} {seconds:g}",
        "fscan2d": f"fscan2d {slow} {y0:g} {dy:g} {ny} {fast} {x0:g} {dx:g} {nx_} {seconds:g}",
        "ascan": f"ascan {first} {seconds:g}",
        "loopscan": f"loopscan {nx_} {seconds:g}",
        "unknown": f"my_own_scan({fast}, {slow}, fine=True)",
    }[scan]


def put_bliss_motors(entry, positions, order, coordinates, units, has_motors):
    instrument, measurement = entry["instrument"], entry["measurement"]
    groups = [
        nx(instrument, name, "NXcollection")
        for name in ("positioners_start", "positioners", "positioners_end")
    ]
    for group in groups:
        put(group, "energy", 12.5, "keV")
        put(group, "sampx", 1.5, "mm")
    for (name, *_), key, unit in zip(coordinates, ("fast", "slow"), units, strict=True):
        if key not in has_motors:
            for group in groups:
                put(group, name, positions[key].flat[0], unit)
            continue
        values = positions[key].ravel()[order]
        value = put(nx(instrument, name, "NXpositioner"), "value", values, unit)
        put(groups[0], name, values[0], unit)
        put(groups[2], name, values[-1], unit)
        groups[1][name] = measurement[name] = h5py.SoftLink(value.name)


def write_bliss(
    path,
    shape=(5, 7),
    n_channels=64,
    detectors=("fx1_det0", "fx1_det1"),
    scan="amesh",
    n_points=None,
    is_snake=False,
    names="id13",
    live_time=True,
    dtype=np.uint32,
    seed=0,
    scan_number=1,
    mode="w",
    compression=None,
    chunks=None,
    missing_rates=(),
    jitter=0.0,
    seconds=0.1,
    units=("um", "mm"),
    coordinates=COORDINATES,
    is_title_bytes=False,
    is_spectrum_full=False,
):
    """Write a scan `scan_number`.1 as Bliss does; a line is a shape of one row.

    An aborted scan has the first `n_points` alone; as ewoksfluo writes it
    (`is_spectrum_full`), spectra have all the points nonetheless. With names="xmap" there
    is no live time of the fast channel. `missing_rates`: flat indices of pixels (y, x).
    """
    shape = shape if len(shape) == 2 else (1, *shape)
    counts = make_counts((len(detectors), *shape, n_channels), seed, dtype)
    times = make_times(counts, seed, seconds, missing_rates)
    positions = make_positions(shape, jitter, seed, coordinates)
    order = in_order(shape, is_snake, n_points)
    i0 = np.random.default_rng(seed + 3000).uniform(0.8, 1.2, shape) * 1e6
    title = bliss_title(scan, shape, seconds, coordinates)
    has_motors = {"ascan": ("fast",), "loopscan": ()}.get(scan, ("fast", "slow"))
    with h5py.File(path, mode) as file:
        file.attrs.update(NX_class="NXroot", creator="Bliss", default=f"{scan_number}.1")
        entry = nx(file, f"{scan_number}.1", "NXentry")
        entry["title"] = np.bytes_(title) if is_title_bytes else title
        entry["start_time"] = "2024-03-05T10:11:12.345678+01:00"
        entry["end_time"] = "2024-03-05T10:21:12.345678+01:00"
        instrument = nx(entry, "instrument", "NXinstrument")
        measurement = nx(entry, "measurement", "NXcollection")
        for i, name in enumerate(detectors):
            detector = nx(instrument, name, "NXdetector")
            detector["type"] = "mca"
            stored = in_order(shape, is_snake) if is_spectrum_full else order
            kwds = {"compression": compression, "chunks": chunks}
            spectra = counts[i].reshape(-1, n_channels)[stored]
            dataset = put(detector, "spectrum", spectra, **kwds)
            dataset.attrs["interpretation"] = "spectrum"
            detector["data"] = h5py.SoftLink("spectrum")
            measurement[name] = h5py.SoftLink(dataset.name)
            for key in XMAP if names == "xmap" else TIMES:
                if key == "live_time" and not live_time:
                    continue
                counter = XMAP[key] if names == "xmap" else key
                unit = "s" if key.endswith("_time") and "dead" not in key else None
                values = times[key][i].ravel()[order]
                link = put(detector, counter, values, unit).name
                measurement[f"{name}_{counter}"] = h5py.SoftLink(link)
        put_bliss_motors(entry, positions, order, coordinates, units, has_motors)
        monitor = put(nx(instrument, "I0", "NXdetector"), "data", i0.ravel()[order])
        measurement["I0"] = h5py.SoftLink(monitor.name)
        timer = put(
            nx(instrument, "epoch", "NXdetector"), "data", 1.7e9 + order * seconds
        )
        measurement["epoch"] = h5py.SoftLink(timer.name)
        if scan == "fscan2d":
            (fast, x0, dx), (slow, y0, dy) = coordinates
            parameters = nx(instrument, "fscan_parameters", "NXcollection")
            for prefix, *values in (("slow", slow, y0, dy), ("fast", fast, x0, dx)):
                for key, value in zip(
                    ("motor", "start_pos", "step_size"), values, strict=True
                ):
                    parameters[f"{prefix}_{key}"] = value
                parameters[f"{prefix}_npoints"] = shape[prefix == "fast"]
            parameters["fast_motor_mode"] = b"ZIGZAG" if is_snake else b"REWIND"
            parameters["acq_time"] = seconds
    kept = order if not is_spectrum_full else in_order(shape)
    truth = {name: keep(times[name], order, 1) for name in TIMES}
    truth |= {name: keep(positions[name], order, 0, np.nan) for name in ("fast", "slow")}
    truth |= {"counts": keep(counts, kept, 1), "I0": keep(i0, order, 0, np.nan)}
    is_acquired = keep(np.ones(shape, bool), order)
    return truth | {"x": positions["x"], "y": positions["y"], "is_acquired": is_acquired}


def write_bliss_master(path, linked):
    """Write links {name: (file, entry)}, which may lead to files that do not exist."""
    with h5py.File(path, "w") as file:
        file.attrs.update(NX_class="NXroot", creator="Bliss")
        for name, (target, entry) in linked.items():
            relative = os.path.relpath(target, path.parent)
            file[name] = h5py.ExternalLink(relative, entry)


# EDF ----------------------------------------------------------------------------------


def write_edf(path, data, header=None):
    image = fabio.edfimage.EdfImage(data=np.ascontiguousarray(data), header=header or {})
    image.write(str(path))


def write_line(path, shape=(7, 64)):
    """Write one EDF file of spectra with a calibration."""
    header = {"MCA a": -0.1, "MCA b": 0.02, "MCA c": 0}
    write_edf(path, make_counts(shape), header)
    return path


def write_xia(
    folder,
    shape=(5, 7),
    detectors=(0, 1),
    n_channels=64,
    prefix="zap",
    scan=1,
    dtype=np.uint32,
    missing_rows=(),
    has_statistics=True,
    xcorr=0,
    calibration=None,
    preset_time=0.1,
    sum_file=False,
    missing_rates=(),
    first_row=0,
    coefficients=(-0.02, 0.015, 1e-7),
    stats_dtype=np.int32,
    seed=0,
):
    """Write files of rows; what statistics cannot say in integers is rounded, in truth too.

    `live_time` in truth is preset time * OCR / ICR, `trigger_live_time` what is written.
    `missing_rates`: flat indices of pixels (y, x) whose statistics are all zero.
    """
    n = len(detectors)
    counts = make_counts((n, *shape, n_channels), seed, dtype)
    times = make_times(counts, seed, preset_time, missing_rates)
    columns = (
        np.broadcast_to(np.asarray(detectors)[:, None, None], (n, *shape)),
        times["events"],
        times["trigger_count_rate"],
        times["event_count_rate"],
        times["trigger_live_time"] * 1000,
        times["fractional_dead_time"] * 100,
    )
    stats = np.stack(columns, -1)  # detector, y, x, column
    if np.issubdtype(stats_dtype, np.integer):
        stats = stats.round()
    stats = stats.astype(stats_dtype)
    shared = {"time": preset_time, "xcorr": xcorr, "xdata": 0}
    if calibration == "mca":
        shared |= dict(zip(("MCA a", "MCA b", "MCA c"), coefficients, strict=True))
        shared |= {"MCA start ch": 0}
    elif calibration == "McaCalib":
        shared["McaCalib"] = "[" + ", ".join(f"{c!r}" for c in coefficients) + "]"
    folder.mkdir(parents=True, exist_ok=True)
    every = {"xnb": n, "xdet": " ".join(str(d) for d in detectors)}
    is_written = np.array([row not in missing_rows for row in range(shape[0])])
    for row in np.flatnonzero(is_written):
        end = f"{scan:04d}_0000_{row + first_row:04d}.edf"
        for i, detector in enumerate(detectors):
            header = shared | {"xnb": 1, "xdet": detector}
            write_edf(
                folder / f"{prefix}_xia{detector:02d}_{end}", counts[i, row], header
            )
        if has_statistics:
            table = stats[:, row].transpose(1, 0, 2).reshape(shape[1], 6 * n)
            write_edf(folder / f"{prefix}_xiast_{end}", table, shared | every)
        if sum_file:
            total = counts[:, row].sum(0, dtype=np.uint32)
            header = shared | {"xnb": 1, "xdet": every["xdet"], "xdata": 4}
            write_edf(folder / f"{prefix}_xiaS1_{end}", total, header)
    there = is_written[:, None]
    values = np.moveaxis(stats.astype(float), -1, 0) * there
    names = ("detector", "events", "input_rate", "output_rate", "lt", "dt")
    truth = dict(zip(names, values, strict=True))
    icr, ocr = truth["input_rate"], truth["output_rate"]
    fraction = np.divide(ocr, icr, out=np.zeros_like(icr), where=icr > 0)
    truth |= {
        "trigger_live_time": truth.pop("lt") / 1000,
        "dead_time": truth.pop("dt") / 100,
    }
    truth |= {"live_time": preset_time * fraction, "is_written": is_written}
    truth["counts"] = counts * there[..., None].astype(counts.dtype)
    return truth | {"coefficients": np.array(coefficients)}


def write_edf_images(path, frames, header=None, headers_per_frame=None):
    """Write frames (each a 2D array) to one file, with what BM05 and others say of motors."""
    motors = {"motor_mne": "sampy sampz energy", "motor_pos": "10.5 -3 12.5"}
    motors |= {"counter_mne": "sec I0", "counter_pos": "0.1 123456"}
    frames = [np.asarray(frame) for frame in frames]
    extra = headers_per_frame or [{} for _ in frames]
    headers = [motors | (header or {}) | h for h in extra]
    image = fabio.edfimage.EdfImage(data=frames[0], header=headers[0])
    for frame, h in zip(frames[1:], headers[1:], strict=True):
        image.append_frame(data=frame, header=h)
    image.write(str(path))
    truth = {"motors": {"sampy": 10.5, "sampz": -3.0, "energy": 12.5}}
    truth |= {"counters": {"sec": 0.1, "I0": 123456.0}}
    return truth | {"frames": frames, "headers": headers}


# SPEC ---------------------------------------------------------------------------------


def spec_mca(values):
    """Return a block @A, 16 values a line."""
    form = "{:d}" if np.issubdtype(values.dtype, np.integer) else "{:.4f}"
    lines = [
        " ".join(form.format(v) for v in values[i : i + 16].tolist())
        for i in range(0, len(values), 16)
    ]
    return "@A " + "\\\n ".join(lines)


def spec_scan(number, scan, seed):
    """Return lines and truth of a scan."""
    kind = scan["kind"]
    shape = tuple(scan.get("shape", (5, 7) if kind in ("mesh", "none") else (7,)))
    shape = shape if len(shape) == 2 else (1, *shape)
    n_detectors, n_channels = scan.get("n_detectors", 1), scan.get("n_channels", 64)
    n_points = 0 if kind == "none" else scan.get("n_points")
    seconds = scan.get("seconds", 0.1)
    counts = make_counts((n_detectors, *shape, n_channels), seed + number)
    if scan.get("floats"):
        counts = (
            counts * np.random.default_rng(seed).uniform(0.5, 1.5, counts.shape)
        ).round(4)
    positions = make_positions(shape)
    order = in_order(shape, n_points=n_points)
    (fast, x0, dx), (slow, y0, dy) = COORDINATES
    ends = f"{x0:g} {x0 + dx * (shape[1] - 1):g} {shape[1] - 1}"
    command = f"ascan  {fast} {ends}  {seconds:g}"
    if kind in ("mesh", "none"):
        last = y0 + dy * (shape[0] - 1)
        command = (
            f"mesh  {fast} {ends}  {slow} {y0:g} {last:g} {shape[0] - 1}  {seconds:g}"
        )
    i0 = np.random.default_rng(seed + number).integers(1e5, 2e5, shape)
    lines = [f"#S {number} {command}", "#D Tue Mar 05 10:11:12 2024"]
    lines += [f"#T {seconds:g}  (Seconds)", f"#P0 {x0:g} {y0:g} 1.5 12.5"]
    has_mca = kind not in ("no-mca", "none")
    if has_mca:
        lines += ["#@MCA %16C", f"#@CHANN {n_channels} 0 {n_channels - 1} 1"]
        if scan.get("calibration") is not None:
            lines.append("#@CALIB " + " ".join(f"{c:.7g}" for c in scan["calibration"]))
        if scan.get("ctime") is not None:
            lines.append("#@CTIME " + " ".join(f"{c:.7g}" for c in scan["ctime"]))
    motors = {fast: positions["fast"]}
    if kind in ("mesh", "none"):
        motors[slow] = positions["slow"]
    epoch = np.arange(i0.size).reshape(shape) + 100
    columns = motors | {"Epoch": epoch, "Seconds": np.full(shape, seconds), "I0": i0}
    lines += [f"#N {len(columns)}", "#L " + "  ".join(columns)]
    table = np.stack(list(columns.values()), -1).reshape(-1, len(columns))
    for point in order:
        lines.append(" ".join(f"{value:.10g}" for value in table[point]))
        if has_mca:
            flat = counts.reshape(n_detectors, -1, n_channels)
            lines += [spec_mca(spectrum) for spectrum in flat[:, point]]
    truth = {name: keep(positions[name], order, 0, np.nan) for name in ("fast", "slow")}
    truth |= {"counts": keep(counts, order, 1) if has_mca else None, "command": command}
    truth |= {"x": positions["x"], "y": positions["y"], "I0": keep(i0, order)}
    return lines, truth | {"is_acquired": keep(np.ones(shape, bool), order)}


def write_spec(path, scans=({"kind": "mesh"},), seed=0):
    """Write scans, numbered from 1; "none" is a mesh aborted before its first point.

    Each is a dict: kind ("mesh", "ascan", "no-mca", "none"), shape, n_detectors, n_channels,
    calibration (a, b, c), ctime (preset, live, real), n_points, floats, seconds.
    """
    names = "  ".join(("sampy", "sampz", "sampx", "energy"))
    lines = [f"#F {path.name}", "#E 1709629872", "#D Tue Mar 05 10:11:12 2024"]
    lines += ["#C eh3  User = opid21", f"#O0 {names}", ""]
    truth = []
    for number, scan in enumerate(scans, 1):
        text, values = spec_scan(number, scan, seed)
        lines += [*text, ""]
        truth.append(values)
    path.write_text("\n".join(lines) + "\n", newline="\n")
    return truth


# Other HDF5 ---------------------------------------------------------------------------


def write_pyxrf(path, shape=(5, 7), n_channels=64, n_detectors=3, each=True, seed=0):
    """Write what PyXRF saves of a scan: no energies, detectors only where `each`."""
    counts = make_counts((n_detectors, *shape, n_channels), seed)
    positions = make_positions(shape, 0.05, seed)
    scalers = np.random.default_rng(seed).uniform(1, 2, (*shape, 2))
    pos = np.stack([positions["fast"], positions["slow"]])
    attrs = dict(pair.split("=") for pair in PYXRF.split())
    attrs |= {"scan_id": 1234, "instrument_mono_incident_energy": 12.5}
    with h5py.File(path, "w") as file:
        file.create_group("xrfmap/scan_metadata").attrs.update(attrs)
        groups = {"detsum": counts.sum(0, dtype=np.float64)}
        if each:
            groups |= {f"det{i + 1}": c.astype(np.float32) for i, c in enumerate(counts)}
        for name, data in groups.items():
            where = f"xrfmap/{name}/counts"
            dataset = file.create_dataset(where, data=data, compression="gzip")
            dataset.attrs["comments"] = f"Experimental data from {name}"
        file["xrfmap/positions/name"] = [b"x_pos", b"y_pos"]
        file["xrfmap/positions/pos"] = pos
        file["xrfmap/scalers/name"] = [b"i0", b"time"]
        file["xrfmap/scalers/val"] = scalers
    total = {"sum": counts.sum(0, dtype=np.float64), "scalers": scalers}
    return positions | total | {"counts": counts}


def allocate(group, name, data, n_rows, **kwds):
    """Write rows into a dataset of `n_rows`, which may grow."""
    full = np.zeros((n_rows, *data.shape[1:]), data.dtype)
    full[: len(data)] = data
    kwds |= {"maxshape": (None, *data.shape[1:]), "compression_opts": 2}
    group.create_dataset(name, data=full, compression="gzip", **kwds)


def make_xrm_times(counts, n_rows, seed):
    """Return what XRM says of the spectra, zero in rows that were not written."""
    times = make_times(counts, seed)
    micro = {
        "realtime": (times["elapsed_time"] * 1e6).round().astype(np.int64),
        "livetime": (times["trigger_live_time"] * 1e6).round().astype(np.int64),
        "inpcounts": times["triggers"].astype(np.float32),
        "outcounts": times["events"].astype(np.float32),
    }
    dtfactor = micro["inpcounts"].astype(float) * micro["realtime"]
    dtfactor = dtfactor / (micro["outcounts"].astype(float) * micro["livetime"])
    micro["dtfactor"] = dtfactor.astype(np.float32)
    for array in (counts, *micro.values()):
        array[:, n_rows:] = 0
    return micro


def write_xrm(
    path,
    shape=(5, 7),
    n_channels=64,
    n_detectors=3,
    n_rows_written=None,
    root="xrmmap",
    calibration=(-0.01, 0.015, 0.0),
    n_allocated=64,
    chunks=None,
    has_each=True,
    is_attr_text=False,
    seed=0,
):
    """Write what GSE's collector allocates: more rows than were acquired (`Last_Row`).

    `livetime` is of the fast channel: dtfactor = inpcounts * realtime / (outcounts *
    livetime). Old files (root="xrfmap") call detectors det1, ... and detsum. Truth has
    the planned `shape` with zeros in rows that were not written, times in s.
    """
    n_rows = shape[0] if n_rows_written is None else n_rows_written
    is_old = root == "xrfmap"
    counts = make_counts((n_detectors, *shape, n_channels), seed)
    micro = make_xrm_times(counts, n_rows, seed)
    positions = make_positions(shape, 0.05, seed)
    total = (counts * micro["dtfactor"][..., None].astype(float)).sum(0)
    total = total.astype(np.uint32) if is_old else total
    averages = {name: v.mean(0).astype(v.dtype) for name, v in micro.items()}
    averages |= {name: micro[name].sum(0) for name in ("inpcounts", "outcounts")}
    groups = [(f"{'det' if is_old else 'mca'}{i + 1}", i) for i in range(n_detectors)]
    groups = [*(groups if has_each else ()), ("detsum" if is_old else "mcasum", None)]
    energy = np.polynomial.Polynomial(calibration)(np.arange(n_channels))
    attrs = {"Type": "XRM 2D Map", "Version": "1.0.1" if is_old else "2.1.0"}
    attrs |= {"Beamline": "GSECARS, 13-IDE / APS", "Start_Time": "2024-03-05 10:11:12"}
    attrs |= {"Map_Folder": "map_0001", "Dimension": "2", "N_Detectors": n_detectors}
    attrs["Last_Row"] = str(n_rows - 1) if is_attr_text else n_rows - 1
    with h5py.File(path, "w") as file:
        top = file.create_group(root)
        top.attrs.update(attrs)
        for name in ("roimap", "config", "areas", "positions", "scalars", "work"):
            top.create_group(name).attrs["type"] = name
        for name, i in groups:
            group = top.create_group(name)
            group.attrs["type"] = "mca detector" if i is not None else "virtual mca"
            group["energy"] = energy
            keys = ("cal_offset", "cal_slope", "cal_quad")
            group["energy"].attrs.update(zip(keys, calibration, strict=True))
            data = total if i is None else counts[i]
            sizes = chunks or (4, min(256, shape[1]), min(512, n_channels))
            allocate(group, "counts", data, n_allocated, chunks=sizes)
            stored = averages if i is None else {key: v[i] for key, v in micro.items()}
            for key, values in stored.items() if not (i is None and is_old) else ():
                allocate(group, key, values, n_allocated)
        for roi, _ in groups:
            top["roimap"].create_group(roi)
        live = averages["livetime"].astype(np.float32)
        pos = [positions["fast"], positions["slow"]]
        pos = np.stack([*pos, averages["realtime"].astype(np.float32), live], -1)
        pos[n_rows:] = 0
        top["positions/name"] = [b"sampy", b"sampz", b"mca realtime", b"mca livetime"]
        top["positions/address"] = [b"13IDE:m1", b"13IDE:m2", *top["positions/name"][2:]]
        allocate(top["positions"], "pos", pos.astype(np.float32), n_allocated)
    pos = pos.astype(np.float32)
    truth = {"fast": pos[..., 0], "slow": pos[..., 1], "dtfactor": micro["dtfactor"]}
    dt = micro["dtfactor"].astype(float)
    real = micro["realtime"] * 1e-6
    live = np.divide(real, dt, out=np.zeros_like(dt), where=dt > 0)
    truth |= {"counts": counts, "sum": total, "energy": energy}
    truth |= {"elapsed_time": real, "trigger_live_time": micro["livetime"] * 1e-6}
    truth |= {"input_counts": micro["inpcounts"], "output_counts": micro["outcounts"]}
    return truth | {"live_time": live, "n_rows": n_rows}


def write_maps(path, version=10, shape=(5, 7), n_channels=64, seed=0, has_times=True):
    """Write a map of XRF-Maps (10) or MAPS (9), channels first; one detector."""
    counts = make_counts((1, *shape, n_channels), seed)
    times = make_times(counts, seed)
    positions = make_positions(shape)
    calibration = np.array([-0.01, 0.015, 1e-7])
    energy = np.polynomial.Polynomial(calibration)(np.arange(n_channels))
    values = {"x_axis": positions["x"], "y_axis": positions["y"], "energy": energy}
    values |= {"mca_arr": np.moveaxis(counts[0], -1, 0).astype(np.float32)}
    values |= {
        "int_spec": counts[0].sum((0, 1), dtype=float),
        "energy_calib": calibration,
    }
    icr, ocr = times["trigger_count_rate"][0], times["event_count_rate"][0]
    clocks = {"Elapsed_Livetime": times["live_time"][0], "Input_Counts": icr}
    clocks |= {"Elapsed_Realtime": times["elapsed_time"][0], "Output_Counts": ocr}
    scalers = np.stack([icr, ocr])
    with h5py.File(path, "w") as file:
        if version == 9:
            for name, data in values.items():
                file[f"MAPS/{name}"] = data
            file["MAPS/scalers"] = scalers
            file["MAPS/scaler_names"] = [b"us_ic", b"ds_ic"]
        else:
            renamed = {"energy": "Energy", "energy_calib": "Energy_Calibration"}
            for name, data in values.items():
                where = "Scan" if name.endswith("_axis") else "Spectra"
                where = "Spectra/Integrated_Spectra" if name == "int_spec" else where
                name_10 = "Spectra" if name == "int_spec" else renamed.get(name, name)
                file[f"MAPS/{where}/{name_10}"] = data
            for name, data in clocks.items() if has_times else ():
                file[f"MAPS/Spectra/{name}"] = data
            file["MAPS/Scalers/Values"] = scalers
            file["MAPS/Scalers/Names"] = [b"US_IC", b"DS_IC"]
        file["MAPS/version"] = np.float32(version)
    return (
        positions
        | times
        | {"counts": counts, "energy": energy, "calibration": calibration}
    )


def write_nexus(path, with_calibration=True, shape=(5, 7), n_channels=64, n=2, seed=0):
    """Write what PyMca's own tests do, with calibration (a, b, c) and positions."""
    counts = make_counts((n, *shape, n_channels), seed, np.int32)
    times = make_times(counts, seed)
    positions = make_positions(shape)
    calibration = np.array([-0.02, 0.015, 1e-7])
    with h5py.File(path, "w") as file:
        file.attrs["NX_class"] = "NXroot"
        entry = nx(file, "entry", "NXentry")
        instrument = nx(entry, "instrument", "NXinstrument")
        xrf = nx(entry, "xrf", "NXsubentry")
        for i in range(n):
            detector = nx(instrument, f"mca{i:02d}", "NXdetector")
            data = put(detector, "data", counts[i])
            data.attrs["interpretation"] = "spectrum"
            group = nx(xrf, f"mca{i:02d}", "NXcollection")
            group["data"] = h5py.SoftLink(data.name)
            put(group, "preset_time", 0.1, "s")
            for key in ("live_time", "elapsed_time"):
                dataset = put(group, key, times[key][i], "s")
                dataset.attrs["interpretation"] = "image"
            if with_calibration:
                group["calibration"] = calibration
                put(group, "dim0", positions["y"], "um")
                put(group, "dim1", positions["x"], "um")
    return positions | times | {"counts": counts, "calibration": calibration}
