"""
Phases of a solder joint: UMAP
==============================

What ``s.classify()`` does unless told otherwise: principal components, an embedding of
them in the plane that shows what is alike, and classes. Needs the extra ``learning``.
"""

import hyperspy.api as hs
import matplotlib.pyplot as plt
from sklearn.metrics import adjusted_rand_score

from rsciio_xfm import data

joint = data.sem_map("example.spd", (90, 120), overwrite=True)
s = hs.load(joint.path, lazy=True)

# %%
# UMAP takes half a minute the first time in a process, as it compiles itself.
classes = s.classify(n_classes=len(joint.phases), energy_range=(0.2, 10.0))
classes.plot()

# %%
# In the embedding each phase is an island. Coloured by the truth:
figure, ax = plt.subplots(figsize=(6, 4.5), layout="constrained")
points = classes.embedding.data.reshape(-1, 2)
for number, phase in enumerate(joint.phases):
    is_it = (joint.labels == number).ravel()
    ax.scatter(*points[is_it].T, s=2, label=phase)
ax.legend(markerscale=4)
ax.set(xlabel="UMAP 1", ylabel="UMAP 2")

# %%
agreement = adjusted_rand_score(joint.labels.ravel(), classes.labels.data.ravel())
print(f"agreement with the truth (adjusted Rand index): {agreement:.3f}")
