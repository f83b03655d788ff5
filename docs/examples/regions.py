"""
Spectra of regions
==================

Regions of any shape, several in one pass, each spectrum with the live time of its own
pixels; and the spectrum of the highest counts, which shows what is in few pixels.
"""

# sphinx_gallery_thumbnail_number = 2

from pathlib import Path

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

from rsciio_xfm import data

rock = data.thin_section("example.GeoPIXE", overwrite=True)
s = hs.load(rock.path, lazy=True)

# %%
# The mean spectrum is that of the rock. The maximum of each channel over all pixels
# shows more: peaks above 15 keV that only some pixels have.
summary = s.get_summary()
figure, ax = plt.subplots(figsize=(9, 3.5), layout="constrained")
energies = s.axes_manager["Energy"].axis
ax.semilogy(energies, summary["max"].data, label="maximum", lw=0.8)
ax.semilogy(energies, summary["mean"].data, label="mean", lw=0.8)
ax.annotate("Zr Kα", (15.77, summary["max"].isig[15.77].data[0]), (14.2, 30), color="C3")
ax.set(xlabel="Energy (keV)", ylabel="Counts", xlim=(1, 20), ylim=(3e-2, None))
ax.legend()

# %%
# Where is it? An image of its line, and a threshold between the two kinds of pixels
# that its histogram would show: some tens of counts, and a thousand.
zirconium = s.get_window_images(["Zr_Ka"])["Zr_Ka"]
zircon = zirconium.data > 100
print(f"{zircon.sum()} pixels, {(zircon & (rock.labels == 5)).sum()} of them zircon")

# %%
# Regions are boolean maps, lists of pixels, or HyperSpy's ROIs. All their spectra come
# from one pass. ROIs are in the units of the axes, here millimetres.
grain = hs.roi.CircleROI(cx=3.2, cy=0.4, r=0.15)
spectra = s.get_region_spectra(
    {
        "spot": [(20, 50), (21, 50), (20, 51)],
        "grain": grain,
        "rest": ~zircon,
        "zircon": zircon,
    }
)
figure, (ax, picture) = plt.subplots(
    1, 2, figsize=(12, 3.6), width_ratios=(2, 1), layout="constrained"
)
for name, spectrum in spectra.items():
    seconds = spectrum.metadata.Acquisition_instrument.SEM.Detector.EDS.live_time
    print(f"{name}: {spectrum.data.sum()} counts in {seconds:.1f} s of live time")
    ax.semilogy(energies, spectrum.data / seconds, label=name, lw=0.8)
ax.set(xlabel="Energy (keV)", ylabel="Counts per second", xlim=(1, 20), ylim=(1, None))
ax.legend()
x, y = s.axes_manager.navigation_axes
extent = (0, x.size * x.scale, y.size * y.scale, 0)
picture.imshow(zirconium.data, cmap="inferno", extent=extent)
picture.add_patch(plt.Circle((grain.cx, grain.cy), grain.r, color="w", fill=False))
picture.set(title="Zr Kα, and the grain", xlabel="x (mm)", ylabel="y (mm)")

# %%
# The live time is the sum of those of the region's pixels and detectors, known from the
# truth too.
dwell = s.metadata.Acquisition_instrument.XRF.dwell_time
live = (1 - rock.dead_time[:, zircon] / 100).sum() * dwell
found = spectra["zircon"].metadata.Acquisition_instrument.SEM.Detector.EDS.live_time
print(f"zircon: {found:.3f} s, truth {live:.3f} s")
assert np.isclose(found, live, rtol=1e-5)

# %%
# As ``.msa``, for any program that quantifies: live time, beam energy and angles are in
# it.
spectra["zircon"].save("zircon.msa", overwrite=True)
print(Path("zircon.msa").read_text()[:700])
