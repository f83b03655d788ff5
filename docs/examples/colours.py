"""
All energies in one picture
===========================

Each energy has a hue; a pixel is the mixture of its counts. What differs looks
different, without any line being chosen.
"""

import hyperspy.api as hs

from rsciio_xfm import data

rock = data.thin_section("example.GeoPIXE", overwrite=True)
s = hs.load(rock.path, lazy=True)

# %%
# Of the counts as they are, the strong lines are seen.
s.plot_colour_map("linear", energy_range=(3.0, 10.0))

# %%
# Of their logarithms, the weak ones too.
s.plot_colour_map("log", energy_range=(3.0, 10.0))

# %%
# Readers who do not tell red from green do not see which hue is meant. The second
# scheme goes from yellow over green to blue, which all tell apart.
s.plot_colour_map("log", energy_range=(3.0, 10.0), colours="safe")

# %%
# The picture itself is a signal of 8-bit colours.
picture = s.get_colour_map("log", energy_range=(3.0, 10.0))
picture.save("colours.png", overwrite=True)
picture
