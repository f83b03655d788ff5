"""
Element maps of a thin section
==============================

From a ``.GeoPIXE`` file to the spectrum of the whole map and images of its elements,
all of them in one pass over the file.
"""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

from rsciio_xfm import data

# %%
# A synthetic map of a rock, 101 MB, of which it is known what is where. Opening it
# finds where its spectra lie, and keeps none of them in memory.
rock = data.thin_section("example.GeoPIXE", overwrite=True)
s = hs.load(rock.path, lazy=True)
s

# %%
# The spectrum of the whole map is summed straight from the file's records. It is an
# exspy signal like any other: name the elements, and their lines are marked.
total = s.sum()
total.compute()
total.set_elements(["Ca", "Ti", "Cr", "Fe", "Cu"])
total.set_lines(["Ca_Ka", "Ti_Ka", "Cr_Ka", "Fe_Ka", "Cu_Ka"])
total.isig[1.0:20.0].plot(xray_lines=True, norm="log")

# %%
# Images of six lines, in one pass. They are exact counts, in memory, with millimetres
# along their axes.
lines = ["Ca_Ka", "Ti_Ka", "Cr_Ka", "Fe_Ka", "Cu_Ka", "Zr_Ka"]
images = s.get_window_images(lines)
hs.plot.plot_images(
    list(images.values()),
    label=lines,
    per_row=3,
    cmap="inferno",
    axes_decor="off",
    scalebar=[0],
    vmax="99.9th",
    padding={"left": 0.01, "right": 0.95, "wspace": 0.3, "hspace": 0.3},
    fig=plt.figure(figsize=(12, 4.6)),
)

# %%
# Three of them as red, green and blue.
rgb = [images[line].data for line in ("Fe_Ka", "Cu_Ka", "Ca_Ka")]
figure, (ax, truth) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
ax.imshow(np.stack([np.clip(i / np.percentile(i, 99.5), 0, 1) for i in rgb], axis=-1))
ax.set_title("Fe, Cu, Ca")
drawn = truth.imshow(rock.labels, cmap="Set3", vmin=-0.5, vmax=11.5)
bar = figure.colorbar(drawn, ax=truth, ticks=range(6), boundaries=np.arange(-0.5, 6))
bar.set_ticklabels(rock.phases)
truth.set_title("what is where")
for each in (ax, truth):
    each.set_axis_off()

# %%
# Because the truth is known: how well does each image tell where its element is?
for line, image in images.items():
    known = rock.share(line.split("_")[0])
    agreement = np.corrcoef(image.data.ravel(), known.ravel())[0, 1]
    print(f"{line}: correlation with the truth {agreement:.2f}")

# %%
# As files: a ``.tif`` with counts and pixel size, a ``.png`` to look at.
images["Fe_Ka"].save("iron.tif", overwrite=True)
images["Fe_Ka"].save("iron.png", overwrite=True, scalebar=True, output_size=800)
