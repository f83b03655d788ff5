"""
For other programs
==================

A map as a file for GeoPIXE, PyMca, silx, maxrf4u, numpy; and which of them bring it
back to HyperSpy as it was. Needs the extras ``datastack`` and ``esrf``.
"""

from pathlib import Path

import h5py
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

from rsciio_xfm import data, esrf, geopixe

rock = data.thin_section("example.GeoPIXE", overwrite=True)
s = hs.load(rock.path, lazy=True)

# %%
# A part of the map, for GeoPIXE: records of both detectors are copied as they are.
geopixe.crop(rock.path, "part.GeoPIXE", x=(60, 120), y=(20, 60), overwrite=True)

# %%
# The same part in formats of others, written chunk by chunk, detectors summed.
part = s.inav[60:120, 20:60]
part.save("part.emd", compression="gzip", overwrite=True)  # electron microscopy
part.save("part.datastack", overwrite=True)  # maxrf4u
part.save("part.h5", file_format="ESRF", overwrite=True)  # PyMca, silx
part.sum().save("part.msa", overwrite=True)  # any EDS program
for name in ("part.GeoPIXE", "part.emd", "part.datastack", "part.h5", "part.msa"):
    path = Path(name)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")

# %%
# Who opens ``part.h5`` sees a map of spectra without being told; so does h5py.
print(list(esrf.tree("part.h5")))
with h5py.File("part.h5") as file:
    found = file
    while "default" in found.attrs:  # NeXus's way from the top to what is to be drawn
        found = found[found.attrs["default"]]
    counts = found[found.attrs["signal"]]
    print(dict(found.attrs), counts.shape, counts.dtype)
    assert np.array_equal(counts, part.data.compute())

# %%
# Each of these files brings back counts, axes, metadata and dead times: iron, of each.
readers = {
    "part.GeoPIXE": {},
    "part.emd": {},
    "part.datastack": {},
    "part.h5": {"file_format": "ESRF"},
}
figure, axes = plt.subplots(2, 2, figsize=(7, 4.6), layout="constrained")
for ax, (name, options) in zip(axes.flat, readers.items(), strict=True):
    again = hs.load(name, lazy=True, signal_type="EDS_XFM", **options)
    same = np.array_equal(again.data.compute(), part.data.compute())
    times = np.array_equal(again.get_dead_time().data, part.get_dead_time().data)
    print(f"{name}: {again}; counts the same: {same}; dead times the same: {times}")
    iron = again.get_window_images(["Fe_Ka"])["Fe_Ka"].data
    ax.imshow(iron, cmap="inferno", vmax=np.percentile(iron, 99.5))
    ax.set_title(name)
    ax.set_axis_off()

# %%
# As a plain array for numpy, on the command line: ``rsciio-xfm export part.GeoPIXE -o
# part.npy``.
