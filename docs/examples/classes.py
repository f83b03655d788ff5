"""
Minerals of a rock: classes of spectra
======================================

From a map to "these are the phases, here are their spectra", without the map ever being
in memory.
"""

# sphinx_gallery_thumbnail_number = 2

import hyperspy.api as hs
import numpy as np
from sklearn.metrics import adjusted_rand_score

from rsciio_xfm import data

rock = data.thin_section("example.GeoPIXE", overwrite=True)
s = hs.load(rock.path, lazy=True)

# %%
# How many classes are there? K-means of a sample is tried with 2 to 10 of them; the
# silhouette is highest where they are told apart best.
n_classes = s.estimate_n_classes()
print(f"{n_classes} classes; the rock has {len(rock.phases)} minerals")
s.plot_cluster_metric()

# %%
# The spectra are reduced to principal components and classified, in a few passes over
# the file. Lines of the elements are marked in the spectra of the classes.
lines = ["Ca_Ka", "Ti_Ka", "Fe_Ka", "Cu_Ka", "Zr_Ka"]
s.set_elements([line.split("_")[0] for line in lines])
s.set_lines(lines)
classes = s.classify(reducer="pca", n_classes=n_classes)
classes.plot()

# %%
# Every class has a sum spectrum with the live time of its pixels, and a share of the
# map.
for number, share in enumerate(classes.fractions):
    pixels = classes.labels.data == number
    mineral = np.bincount(rock.labels[pixels]).argmax()
    print(
        f"class {number}: {100 * share:.1f} % of the map, mostly {rock.phases[mineral]}"
    )
agreement = adjusted_rand_score(rock.labels.ravel(), classes.labels.data.ravel())
print(f"agreement with the truth (adjusted Rand index): {agreement:.3f}")

# %%
# All of it as files: an ``.msa`` for each class, the map of classes, a table, a
# picture.
for path in classes.save("classes", overwrite=True):
    print(path)
