"""
An EDS map of a scanning electron microscope
============================================

EDAX's ``.spd`` with all that lies beside it: energies, size of the pixels, live time
and the image of the sample. All of exspy works on it. Counts by a fit need the extra
``fit``.
"""

# sphinx_gallery_thumbnail_number = 3

import hyperspy.api as hs
import matplotlib.pyplot as plt

from rsciio_xfm import data

joint = data.sem_map("example.spd", overwrite=True)
s = hs.load(joint.path, lazy=True)
s

# %%
# What the files beside it say is in the metadata.
s.metadata.Acquisition_instrument

# %%
# The image of the sample, calibrated as the map.
image = hs.load(joint.path, select_type="image")
image.plot()

# %%
# The counts of each element, by a fit of the sum of all spectra: lines that overlap are told
# apart, and what lies below the peaks is not counted.
model = s.create_element_model(["C", "O", "Si", "Ni", "Cu", "Ag", "Sn"])
model.fit()
model.plot()
for name in ("Cu_K", "Sn_L", "Ag_L", "Ni_K", "Si_K"):
    counts, sigma = model.areas[name]
    print(f"{name}: {counts:.0f} counts, +- {sigma:.0f}")

# %%
# Images of energy windows, in one pass. Only the bytes of these windows are looked at.
lines = ["Cu_Ka", "Sn_La", "Ag_La", "Ni_Ka", "Si_Ka"]
images = s.get_window_images(lines)
hs.plot.plot_images(
    list(images.values()),
    label=lines,
    per_row=3,
    cmap="viridis",
    axes_decor="off",
    colorbar=None,
    scalebar=[0],
    fig=plt.figure(figsize=(11, 5.5)),
)

# %%
# Few counts a pixel: four pixels added up have four times as many, and four times the
# live time.
binned = s.rebin(scale=(2, 2, 1))
time = binned.metadata.Acquisition_instrument.SEM.Detector.EDS.live_time
print(f"{binned}, {time:.2f} s a pixel")
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
for ax, each in zip(axes, (s, binned), strict=True):
    silver = each.get_window_images(["Ag_La"])["Ag_La"]
    ax.imshow(silver.data, cmap="viridis")
    ax.set_title(f"Ag Lα, {silver.data.shape[1]} x {silver.data.shape[0]}")
    ax.set_axis_off()
