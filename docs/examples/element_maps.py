"""
Element maps of a thin section
==============================

From a ``.GeoPIXE`` file to maps of its elements by a fit of whole spectra: which are there,
where, how many counts, and which of them to believe.
"""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

from rsciio_xfm import data

# %%
# A synthetic map of a rock, 110 MB, of which it is known what is where. Opening it
# finds where its spectra lie, and keeps none of them in memory.
rock = data.thin_section("example.GeoPIXE", overwrite=True)
s = hs.load(rock.path, lazy=True)
s

# %%
# One line does it all: one pass over the file for the sum of the spectra, in which elements
# are found and to which a model is calibrated, and one for the maps. Those that are not
# detected are grey.
maps = s.get_element_maps()
axes = maps.plot()

# %%
# How many counts each has, how sure they are, how many it needs to be detected, and what
# can hardly be told apart.
print(maps)

# %%
# What the maps were made with: the sum spectrum, what it consists of, and what is left of it
# in standard deviations. Look at it before you believe a weak element.
axes = maps.model.plot()

# %%
# Three of them as red, green and blue.
picture = maps.rgb("Fe_K", "Cu_K", "Ca_K")
figure, (ax, truth) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
ax.imshow(np.stack([picture.data[colour] for colour in "RGB"], axis=-1))
ax.set_title("Fe, Cu, Ca")
drawn = truth.imshow(rock.labels, cmap="Set3", vmin=-0.5, vmax=11.5)
bar = figure.colorbar(drawn, ax=truth, ticks=range(6), boundaries=np.arange(-0.5, 6))
bar.set_ticklabels(rock.phases)
truth.set_title("what is where")
for each in (ax, truth):
    each.set_axis_off()

# %%
# Because the truth is known: how well does each map tell where its element is?
for name in ("Ca_K", "Ti_K", "Cr_K", "Fe_K", "Cu_K", "Zr_K"):
    known = rock.counts(name)
    agreement = np.corrcoef(maps[name].data.ravel(), known.ravel())[0, 1]
    print(f"{name}: correlation with the truth {agreement:.2f}")

# %%
# The counts of a region are those of a fit of its spectrum, with their uncertainty: olivine
# has nickel, and chalcopyrite has none.
found = maps.get_region(
    {name: rock.labels == rock.phases.index(name) for name in ("olivine", "chalcopyrite")}
)
for name, areas in found.items():
    counts, sigma = areas["Ni_K"]
    print(f"nickel in {name}: {counts:.0f} +- {sigma:.0f} counts")

# %%
# As files: a ``.tif`` with counts and pixel size, or all of them with tables and the model,
# which makes maps of other files of the same set-up in one pass.
maps["Fe_K"].save("iron.tif", overwrite=True)
paths = maps.save("elements", overwrite=True)
again = s.get_element_maps("elements/model.yaml")
