"""
A painting
==========

From the raw file of an MA-XRF scanner to maps of the elements in its pigments. Needs
the extras ``datastack`` and ``fit``.
"""

# sphinx_gallery_thumbnail_number = 2

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

from rsciio_xfm import data, datastack
from rsciio_xfm.analysis.fit.energy import calibrate_energy

picture = data.painting("example.raw", overwrite=True)

# %%
# Which way is up? The preview is a picture of the highest peak; here it says that the
# painting lay upside down.
preview = datastack.preview(picture.path, picture.path.with_suffix(".rpl"))
plt.imshow(preview.image, cmap="gray")

# %%
# One pass over the raw file: smoothed spectra, maximum and mean spectra beside them.
# maxrf4u's 7 channels, the default, would make lines of 430 eV where channels are as
# wide as here, and mix neighbours.
path = datastack.convert(
    picture.path,
    picture.path.with_suffix(".rpl"),
    sigma=2,
    flip_vertical=True,
    overwrite=True,
)

# %%
# The scanner gives no energies. Some of the elements that must be there are enough to find
# them: their lines are matched with the peaks of the sum spectrum.
found = calibrate_energy(preview.sum_spectrum, ["Ca", "Fe", "Cu", "Pb"])
energies = found.zero + found.gain * np.arange(preview.sum_spectrum.size)
datastack.append(energies, "maxrf_energies", path)
print(f"{1000 * found.gain:.1f} eV a channel, channel 0 at {found.zero:.2f} keV")

# %%
# The map, chunk by chunk, with its energies; six images in one pass over the file. Windows
# twice as wide as the lines, as they are without `integration_windows`, would overlap: of
# Ca Kα and Sn Lα, says a warning, by a fifth. Narrower ones lose counts, but share none.
s = hs.load(path, lazy=True)
lines = ["Pb_La", "Cu_Ka", "Fe_Ka", "Hg_La", "Ca_Ka", "Sn_La"]
images = s.get_window_images(lines, integration_windows=1.5)
hs.plot.plot_images(
    list(images.values()),
    label=lines,
    per_row=3,
    cmap="inferno",
    axes_decor="off",
    colorbar=None,
    vmax="99.5th",
    fig=plt.figure(figsize=(11, 5)),
)

# %%
# Maximum and mean of all spectra were made by the conversion.
figure, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
ax.semilogy(energies, datastack.read(path, "maxrf_maxspectrum"), label="maximum")
ax.semilogy(energies, datastack.read(path, "maxrf_sumspectrum"), label="mean")
ax.set(xlabel="Energy (keV)", ylabel="Counts", xlim=(1, 23), ylim=(1e-3, None))
ax.legend()

# %%
# The brightest pixels of an image are those of the pigment that holds the element.
for line, pigment in {"Hg_La": "vermilion", "Fe_Ka": "earth", "Cu_Ka": "azurite"}.items():
    brightest = images[line].data > np.percentile(images[line].data, 99)
    hits = (picture.labels[brightest] == picture.phases.index(pigment)).mean()
    print(f"{line}: {100 * hits:.0f} % of the brightest pixels are {pigment}")

# %%
# What is in the file, for maxrf4u too.
for name, array in datastack.tree(path).items():
    print(f"{name}: {array['shape']} {array['dtype']}, {array['compression']}")
