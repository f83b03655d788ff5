"""
Dead and live time
==================

Each pixel and detector has a dead time of its own. It is cropped, summed and rebinned
with the spectra; where the instrument did not record it, it is learnt from the map.
"""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

from rsciio_xfm import data

# %%
# A synthetic map of which every fifth dead time is missing, as instruments leave it: 0.
# Loading says so.
rock = data.thin_section("example.GeoPIXE", unrecorded=0.2, overwrite=True)
s = hs.load(rock.path, lazy=True)
s.plot_dead_time()

# %%
for detector, found in s.get_dead_time_statistics().items():
    print(f"{detector}: median {found['median']:.1f} %, recorded {found['n_recorded']}")

# %%
# The shape of a spectrum tells its dead time, as photons that arrive together are
# counted at their added energies. A smooth function is learnt from the spectra whose
# dead time is known, for each detector.
filled = s.fill_dead_time()
filled.plot_filled_dead_time()

# %%
# The truth of the dead times that were missing:
missing = s.get_dead_time().data == 0
error = filled.get_dead_time().data[missing] - rock.dead_time[missing]
print(f"{missing.sum()} filled in; median error {np.median(np.abs(error)):.2f} % points")
figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
ax.plot(rock.dead_time[missing], filled.get_dead_time().data[missing], ".", ms=2)
ax.axline((0, 0), slope=1, color="k", lw=0.8)
ax.set(xlabel="True dead time (%)", ylabel="Filled in (%)", xlim=(5, 40), ylim=(5, 40))

# %%
# A region's sum has the live time of its own pixels; counts per second can be compared.
region = filled.inav[20:60, 10:40].sum()
region.compute()
times = region.metadata.Acquisition_instrument.SEM.Detector.EDS
print(f"{times.live_time:.1f} s alive of {times.real_time:.1f} s")

# %%
# Where much arrives, much is lost: counts of iron before and after the correction.
corrected = filled.apply_live_time_correction()
window = slice(6.2, 6.6)
iron = {"counts": filled, "corrected": corrected}
iron = {name: each.isig[window].sum("Energy") for name, each in iron.items()}
figure, axes = plt.subplots(1, 2, figsize=(11, 3.2), layout="constrained")
for image in iron.values():
    image.compute()
highest = iron["corrected"].data.max()
for ax, (name, image) in zip(axes, iron.items(), strict=True):
    drawn = ax.imshow(image.data, cmap="inferno", vmin=0, vmax=highest)
    figure.colorbar(drawn, ax=ax, shrink=0.9)
    ax.set_title(f"Fe, {name}")
    ax.set_axis_off()
