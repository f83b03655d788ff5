"""The phases of a map, and what is in them: from a file to a picture and MSA files."""

import hyperspy.api as hs

from rsciio_xfm._demo import write_demo_map

# A made map of four phases; use the name of your own file instead.
write_demo_map("demo.GeoPIXE")
s = hs.load("demo.GeoPIXE", lazy=True)

# How many phases are there? The silhouette has its maximum at their number.
n_classes = s.estimate_n_classes(show_progressbar=False)
print(f"{n_classes} classes")
s.plot_cluster_metric()

# Lines that are marked in the spectra.
s.set_elements(["Ca", "Ti", "Fe", "Cu"])
s.set_lines(["Ca_Ka", "Ti_Ka", "Fe_Ka", "Cu_Ka"])

# Three passes over the file; with reducer="umap" (the default) the embedding is UMAP's.
classes = s.classify(reducer="pca", n_classes=n_classes, show_progressbar=False)
classes.plot()[0].figure.savefig("phases.png", dpi=90)

# An .msa file for each class, with its own live time, for quantification.
for path in classes.save("phases", overwrite=True):
    print(path)
