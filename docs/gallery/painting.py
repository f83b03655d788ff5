"""A painting: from the raw file of an MA-XRF scanner to maps of its elements."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
from exspy.material import elements

from rsciio_xfm import datastack
from rsciio_xfm._demo_scan import write_demo_scan

# A made scan of 40 MB; use the names of your own files instead.
raw, rpl = write_demo_scan("scan.raw")

# Which way is up? The picture says that the painting lay upside down.
found = datastack.preview(raw, rpl)

# One pass: smoothed spectra, maximum and mean spectra beside them. maxrf4u's 7 channels, the
# default, would make lines of 430 eV where channels are as wide as here, and mix neighbours.
path = datastack.convert(raw, rpl, sigma=2, flip_vertical=True, overwrite=True)

# The scanner gives no energies. The highest peak is that of copper, in the blue of
# the sky, and the highest one at the upper end is the tube's rhodium, scattered.
channels = found.sum_spectrum.argmax(), 750 + found.sum_spectrum[750:].argmax()
copper = elements["Cu"].Atomic_properties.Xray_lines["Ka"]["energy (keV)"]
slope, offset = np.polyfit(channels, (copper, 20.2), 1)
energies = offset + slope * np.arange(found.sum_spectrum.size)
datastack.append(energies, "maxrf_energies", path)

# The map, chunk by chunk, with its energies. Six images in one pass over the file.
s = hs.load(path, lazy=True)
print(s, s.axes_manager["Energy"].scale)
lines = ["Pb_La", "Cu_Ka", "Fe_Ka", "Hg_La", "Ca_Ka", "Sn_La"]
images = s.get_window_images(lines)

figure, axes = plt.subplots(2, 4, figsize=(13, 5), layout="constrained")
axes[0, 0].imshow(found.image, cmap="gray")
axes[0, 0].set_title("preview, as it was scanned")
for ax, line in zip(axes.flat[1:7], lines, strict=True):
    ax.imshow(images[line].data, cmap="inferno")
    ax.set_title(line)
for ax in axes.flat[:7]:
    ax.set_axis_off()
axes[1, 3].semilogy(energies, datastack.read(path, "maxrf_maxspectrum"), label="maximum")
axes[1, 3].semilogy(energies, datastack.read(path, "maxrf_sumspectrum"), label="mean")
axes[1, 3].set(xlabel="Energy (keV)", xlim=(1, 23), ylim=(1e-3, None))
axes[1, 3].legend()
figure.savefig("painting.png", dpi=90)

for name, array in datastack.tree(path).items():
    print(f"{name}: {array['shape']} {array['dtype']}, {array['compression']}")
