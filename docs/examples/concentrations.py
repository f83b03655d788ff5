"""
Concentrations of a thin section
================================

From the counts of elements to mass % of each mineral, with grains of known composition as
standards; and how near this comes to the truth, which is known here.
"""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np

from rsciio_xfm import data

# %%
# A synthetic map of a rock: a section of 30 µm under a Mo tube, whose counts follow from the
# compositions of its minerals. Its elements are fitted.
rock = data.thin_section("example.GeoPIXE", overwrite=True)
s = hs.load(rock.path, lazy=True)
elements = ["K", "Ca", "Ti", "Cr", "Mn", "Fe", "Ni", "Cu", "Zn", "Sr_K", "Y_K", "Zr_K"]
maps = s.get_element_maps(elements, energy_range=(2.7, 20.5))


# %%
# A standard is a sample of the same set-up whose composition is known. Here a microprobe has
# analysed two grains; a square of each is cut out. Angles, air and window are in the header
# of the file. Each line has a factor of its own: how far they differ tells what tables, tube
# and geometry are good for.
def find_square(mineral, side=8):
    """Return the slices of the first square that lies within a grain."""
    mask = rock.labels == rock.phases.index(mineral)
    windows = np.lib.stride_tricks.sliding_window_view(mask, (side, side))
    y, x = np.argwhere(windows.all(axis=(2, 3)))[0].tolist()
    return slice(x, x + side), slice(y, y + side)


standards = []
for name in ("clinopyroxene", "chalcopyrite"):
    k = rock.phases.index(name)
    percent = {element: 100 * part for element, part in rock.fractions[k].items()}
    grain = s.inav[find_square(name)].get_element_maps(maps.model)
    standards.append(grain.as_standard(percent, sample=rock.thickness[k]))
print(standards[0])

# %%
# What the lines do not show, oxygen, silicon and lighter elements, absorbs nevertheless: say
# what the rest consists of. ``sample`` is the mass per area, 30 µm times the density; a grain
# as thick as X-rays get is ``"thick"``.
matrices = {
    "plagioclase": "Al2Si2O8",
    "clinopyroxene": "MgSi2O6",
    "olivine": "Mg2SiO4",
    "ilmenite": "O",
    "chalcopyrite": "S",
    "zircon": "SiO4",
}
found = {}
for k, (name, matrix) in enumerate(matrices.items()):
    mask = rock.labels == rock.phases.index(name)
    options = {"sample": rock.thickness[k], "matrix": matrix, "per": {name: mask}}
    found[name] = maps.quantify(standards, **options)
print(found["olivine"])

# %%
# The truth beside it. Elements of the standards come out best; of others the factor is the
# mean of theirs, and what the spectrum of the tube is not quite like stays in the result.
print("mass %          found            truth")
for name, fractions in zip(rock.phases, rock.fractions, strict=True):
    for element in rock.compositions[rock.phases.index(name)]:
        percent, sigma = found[name][element]
        truth = 100 * fractions[element]
        print(f"{name:13} {element:2} {percent:6.2f} +- {sigma:4.2f} {truth:9.2f}")

# %%
# All of them at a glance.
figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
for name, fractions in zip(rock.phases, rock.fractions, strict=True):
    seen = list(rock.compositions[rock.phases.index(name)])
    values = np.array([found[name][element] for element in seen])
    truth = [100 * fractions[element] for element in seen]
    ax.errorbar(truth, values[:, 0], values[:, 1], fmt="o", capsize=3, label=name)
ax.plot([0.2, 60], [0.2, 60], color="grey", linewidth=0.8)
ax.set(xscale="log", yscale="log", xlabel="truth (mass %)", ylabel="found (mass %)")
ax.legend()

# %%
# Maps are the element maps times the factor of their region; within it they are as noisy as
# counts are.
iron = found["olivine"].maps["Fe"]
print(iron)

# %%
# As files: a table that a spreadsheet reads, maps as ``.tif``, what was assumed.
paths = found["olivine"].save("concentrations", overwrite=True)
