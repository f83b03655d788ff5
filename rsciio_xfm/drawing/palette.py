"""Colours that are told apart whatever the eyes."""

# Of Okabe and Ito, https://jfly.uni-koeln.de/color: told apart whatever the eyes. Their
# yellow is too pale for lines on white; brown is in its place.
SAFE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5F3F")
# The first six of them, and others as far from these and each other as can be, as they are
# seen with all cones, without red and without green ones (Machado et al. 2009).
_CLASSES = (
    *SAFE[:6], "#331A00", "#8066FF", "#4DFF99", "#803300", "#E61A4D", "#000080", "#E6E666",
    "#804D66", "#4D1ACC", "#004DB3",
)  # fmt: skip


def class_colours(n_classes: int) -> list[tuple[float, float, float]]:
    """Return colours of classes; the first 16 are far from each other for all eyes.

    Examples
    --------
    >>> len(set(class_colours(40)))
    40
    """
    from matplotlib.colors import to_rgb

    colours = []
    for k in range(n_classes):
        turn, place = divmod(k, len(_CLASSES))
        share = 0.7**turn  # of more classes each turn is paler
        red, green, blue = (1 - share * (1 - one) for one in to_rgb(_CLASSES[place]))
        colours.append((red, green, blue))
    return colours
