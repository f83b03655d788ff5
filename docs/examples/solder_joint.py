"""
An EDS map of a scanning electron microscope
============================================

EDAX's ``.spd`` with all that lies beside it: energies, size of the pixels, live time
and the image of the sample. All of exspy works on it.
"""

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
# Energy windows as exspy chooses them, with the background on both sides taken away by
# exspy.
total = s.sum()
total.compute()
lines = ["Cu_Ka", "Sn_La", "Ag_La", "Ni_Ka", "Si_Ka"]
total.set_elements([line.split("_")[0] for line in lines])
total.set_lines(lines)
background = total.estimate_background_windows(line_width=[3.0, 3.0])
total.isig[:10.0].plot(xray_lines=lines)
for line in total.get_lines_intensity(lines, background_windows=background):
    print(f"{line.metadata.Sample.xray_lines[0]}: {line.data[0]:.0f} counts")

# %%
# Images of them, in one pass. Only the bytes of these windows are looked at.
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
