"""The class of the signals: what it can do are functions of a signal, here as methods."""

import importlib
from collections.abc import Callable
from typing import Any

from cycler import cycler
from exspy.signals import EDSSEMSpectrum, EDSSpectrum, LazyEDSSEMSpectrum
from exspy.utils.eds import take_off_angle
from hyperspy.io import assign_signal_subclass
from hyperspy.signal import BaseSignal
from matplotlib import rc_context, rcParams
from matplotlib.colors import to_hex

from rsciio_xfm.core.eds import (
    DEAD_TIME,
    EDS_DETECTOR,
    INSTRUMENT,
    OFTEN_PREFERRED,
    PREFERRED,
    SIGNAL_TYPE,
    drop_dead_time,
)
from rsciio_xfm.signals import (
    arithmetic,
    classify,
    colour_map_plots,
    components,
    dead_time,
    dead_time_plots,
    elements,
    fit,
    maps,
    operations,
    saving,
    timekeeping,
)
from rsciio_xfm.signals.lines import check_each, check_element, check_line
from rsciio_xfm.signals.times import Times

__all__ = ["EDSXFMSpectrum", "LazyEDSXFMSpectrum"]


def __dir__() -> list[str]:
    return sorted(__all__)


class _Metadata:
    """Metadata that are set, as in a stack: times of other spectra are left out.

    A descriptor without ``__get__``: what was set is an attribute like any other.
    """

    def __set__(self, signal: "EDSXFMSpectrum", tree: Any) -> None:
        signal.__dict__["_metadata"] = tree
        if signal._kept is not None:
            timekeeping.give(signal, Times())


class EDSXFMSpectrum(EDSSEMSpectrum):
    """X-ray spectra of a map, with the dead time of each pixel and detector.

    Every method of :class:`exspy.signals.EDSSEMSpectrum` works. Beyond these, the signal
    carries a dead-time map, ``metadata.Acquisition_instrument.SEM.Detector.EDS.dead_time``,
    that is cropped, summed, rebinned and transposed with the spectra. After any operation
    it either fits the spectra or is gone, and live and real time with it.
    """

    _signal_type = SIGNAL_TYPE
    _kept: timekeeping.Kept | None = (
        None  # None in the making, or of another class so far
    )

    # What is measured with it: functions of signals, here as methods.

    get_dead_time = dead_time.get_dead_time
    set_dead_time = dead_time.set_dead_time
    get_live_time = dead_time.get_live_time
    fill_dead_time = dead_time.fill_dead_time
    apply_live_time_correction = dead_time.apply_live_time_correction
    get_dead_time_statistics = dead_time.get_dead_time_statistics
    plot_dead_time = dead_time_plots.plot_dead_time
    plot_dead_time_histogram = dead_time_plots.plot_dead_time_histogram
    plot_dead_time_against_counts = dead_time_plots.plot_dead_time_against_counts
    plot_detector_difference = dead_time_plots.plot_detector_difference
    plot_filled_dead_time = dead_time_plots.plot_filled_dead_time

    get_window_images = maps.get_window_images
    get_region_spectra = maps.get_region_spectra
    get_summary = maps.get_summary
    get_colour_map = maps.get_colour_map
    get_maps = maps.get_maps
    plot_colour_map = colour_map_plots.plot_colour_map

    calibrate_energy = elements.calibrate_energy
    find_elements = elements.find_elements
    create_element_model = fit.create_element_model
    get_element_maps = fit.get_element_maps

    pca = components.pca
    umap = components.umap
    kmeans = classify.kmeans
    estimate_n_classes = classify.estimate_n_classes
    classify = classify.classify

    flip = operations.flip
    save = saving.save

    # All that is overridden of HyperSpy and exspy, each once, and why.

    data: Any
    _metadata: Any = _Metadata()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take over the dead times that come with the metadata."""
        is_new = kwargs.get("full_initialisation", True)
        super().__init__(*args, **kwargs)
        if is_new:
            timekeeping.adopt(self, is_file="package" in kwargs)
        elif self._kept is None:
            # A signal of another class becomes one of this: nothing kept a map that it may
            # have in line with its spectra.
            drop_dead_time(self._metadata)
            self._kept = timekeeping.Kept()

    def _set_default_param(self) -> None:
        """Note which angles and widths exspy's preferences stand for: nobody measured them."""
        missing = [place for place in OFTEN_PREFERRED if place not in self._metadata]
        super()._set_default_param()
        for place in missing:
            name = place.rpartition(".")[2]
            self._metadata.set_item(f"{PREFERRED}.{name}", self._metadata.get_item(place))

    @property
    def metadata(self) -> Any:
        """The metadata. Dead times that were put into them give the live time."""
        kept, metadata = self._kept, self._metadata
        if kept is not None:
            found = metadata.get_item(DEAD_TIME)
            is_same = found is kept.map and (found is None or found.data is kept.data)
            if not is_same or kept.is_loaded != metadata.has_item("General.FileIO"):
                timekeeping.notice(self)
        return metadata

    def _assign_subclass(self, chunks: Any = False) -> None:
        """Keep one channel a spectrum; what becomes of another class is left with seconds."""
        is_ours = self._metadata.get_item("Signal.signal_type") == SIGNAL_TYPE
        is_channel = [a.size for a in self.axes_manager._axes if not a.navigate] == [1]
        if is_ours and is_channel:
            self.__class__ = assign_signal_subclass(
                self.data.dtype, 1, signal_type=SIGNAL_TYPE, lazy=self._lazy
            )
            type(self).__init__(self, self.data, full_initialisation=False)
            if self._lazy:
                self.data = self._lazy_data(rechunk=chunks)
            return
        if not is_ours and self._kept is not None:
            timekeeping.release(self)
        super()._assign_subclass(chunks=chunks)
        if not isinstance(self, EDSXFMSpectrum):
            drop_dead_time(self._metadata)
            self.__dict__.pop("_kept", None)

    def _deepcopy_with_new_data(
        self,
        data: Any = None,
        copy_variance: bool = False,
        copy_navigator: bool = False,
        copy_learning_results: bool = False,
    ) -> Any:
        """Leave the times behind, and the data where other threads find them."""
        return timekeeping.copy_with(
            self, data, copy_variance, copy_navigator, copy_learning_results
        )

    def _to_dictionary(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Give maps of times the axes that the signal has now."""
        return timekeeping.to_dictionary(self, super()._to_dictionary, *args, **kwargs)

    def __copy__(self) -> Any:
        """Share data and metadata, which pickling would copy."""
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __reduce__(self) -> tuple:
        """Pickle what HyperSpy saves: its signals hold functions that do not pickle."""
        return timekeeping.from_dictionary, (type(self), self._to_dictionary())

    def explore(self, **options: Any) -> Any:
        """Look at the map in the browser; in a notebook, in the output of the cell.

        Parameters
        ----------
        **options
            Of :func:`rsciio_xfm.explore.start.explore`: ``browser``, ``wait``, ``memory``.

        Returns
        -------
        rsciio_xfm.explore.server.Running or rsciio_xfm.explore.widget.ExplorerWidget
            The server, which ``.close()`` ends; in a notebook the page.

        Raises
        ------
        ImportError
            The extra ``explore`` is not installed.

        Examples
        --------
        >>> explorer = s.explore(browser=False, wait=False)
        >>> explorer.close()
        """
        # The explorer lies above signals, which do not import it: this is what users call.
        return importlib.import_module("rsciio_xfm").explore(self, **options)

    def get_calibration_from(self, ref: BaseSignal, nb_pix: int = 1) -> None:
        """Copy calibration and metadata of a reference; dead and live times stay one's own.

        Parameters
        ----------
        ref
            The reference.
        nb_pix
            Without dead times of one's own, the reference's live and real time are taken,
            divided by this.
        """
        timekeeping.calibrate(self, super().get_calibration_from, ref, nb_pix)

    def as_lazy(self, *args: Any, **kwargs: Any) -> Any:
        """Return a lazy copy; see :meth:`hyperspy.api.signals.BaseSignal.as_lazy`."""
        return timekeeping.same(self, super().as_lazy(*args, **kwargs))

    def map(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Apply a function to each spectrum; the times stay.

        See :meth:`hyperspy.api.signals.BaseSignal.map`.
        """
        return timekeeping.same(self, super().map(function, *args, **kwargs))

    # Arithmetic: masks, sums of the same pixels, and what times do not survive.

    def _binary_operator_ruler(self, other: Any, op_name: str) -> Any:
        """Let times follow; arrays of dask are changed in place."""
        return arithmetic.operate(self, super()._binary_operator_ruler, other, op_name)

    def __radd__(self, other: Any) -> Any:
        """Add up in a loop: ``0 + s`` is ``s``."""
        return NotImplemented if isinstance(other, BaseSignal) else self + other

    def __rmul__(self, other: Any) -> Any:
        """Multiply by a mask from the left, which may be a signal of another type."""
        if isinstance(other, BaseSignal) and arithmetic.mask_of(self, other) is None:
            return NotImplemented
        return self * other

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        """Keep an array + or x a lazy signal lazy."""
        return arithmetic.apply_ufunc(self, ufunc, method, inputs, kwargs)

    # Sums and means: by kernels where there are some; times add up.

    def _apply_function_on_data_and_remove_axis(
        self, function: Callable, axes: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        """Sum by kernels; of a maximum over pixels, say, no time is that of all channels."""
        apply = super()._apply_function_on_data_and_remove_axis
        return operations.reduce(self, apply, function, axes, out, **kwargs)

    def sum(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Sum over axes, all navigation axes if none is given.

        Counts are added up exactly, as 64-bit integers. Live and real times add up. See
        :meth:`hyperspy.api.signals.BaseSignal.sum` for the parameters.
        """
        # exspy's own only multiplies the live time.
        return operations.add_up(self, super(EDSSpectrum, self).sum, axis, out, rechunk)

    def mean(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Average over axes, all navigation axes if none is given.

        Live and real time become those of the average spectrum: their means. See
        :meth:`hyperspy.api.signals.BaseSignal.mean` for the parameters.
        """
        return operations.average(self, super().mean, axis, out, rechunk)

    def nansum(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Sum over axes without NaN, as circular and polygonal ROIs leave outside.

        Live and real times are those of the spectra that are not NaN. See
        :meth:`hyperspy.api.signals.BaseSignal.nansum` for the parameters.
        """
        methods = self.sum, super().nansum
        return operations.without_nan(self, methods, axis, out, rechunk, is_mean=False)

    def nanmean(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Average over axes without NaN; see :meth:`nansum`."""
        methods = self.mean, super().nanmean
        return operations.without_nan(self, methods, axis, out, rechunk, is_mean=True)

    # Axes: what HyperSpy makes of the spectra's, times follow.

    def _slicer(
        self, slices: Any, isNavigation: bool | None = None, out: Any = None
    ) -> Any:
        """Slice the array over the file too, before it is read."""
        return operations.cut(self, super()._slicer, slices, isNavigation, out)

    def crop(
        self, axis: Any, start: Any = None, end: Any = None, convert_units: bool = False
    ) -> None:
        """Crop in place along an axis, the dead times too.

        See :meth:`hyperspy.api.signals.BaseSignal.crop`.
        """
        with timekeeping.given(self, operations.times_of_crop(self, axis, start, end)):
            super().crop(axis, start=start, end=end, convert_units=convert_units)

    def rebin(
        self,
        new_shape: Any = None,
        scale: Any = None,
        crop: bool = True,
        dtype: Any = None,
        out: Any = None,
    ) -> Any:
        """Rebin, the dead times too; live and real times of binned pixels add up.

        See :meth:`hyperspy.api.signals.BaseSignal.rebin` for the parameters.
        """
        # exspy's own only multiplies the times.
        rebin = super(EDSSpectrum, self).rebin
        return operations.rebin(
            self, rebin, out, crop, new_shape=new_shape, scale=scale, dtype=dtype
        )

    def squeeze(self) -> BaseSignal:
        """Remove axes of one pixel; see :meth:`hyperspy.api.signals.BaseSignal.squeeze`."""
        return operations.squeeze(self, super().squeeze)

    def get_current_signal(self, *args: Any, **kwargs: Any) -> Any:
        """Return the spectrum at the current indices, with its own dead times.

        See :meth:`hyperspy.api.signals.BaseSignal.get_current_signal`.
        """
        return operations.get_current_signal(
            self, super().get_current_signal, *args, **kwargs
        )

    def unfold_navigation_space(self) -> bool:
        """Unfold the navigation axes, of the dead times too.

        See :meth:`hyperspy.api.signals.BaseSignal.unfold_navigation_space`.
        """
        return operations.unfold(self, super().unfold_navigation_space)

    def fold(self) -> None:
        """Fold the signal back after it was unfolded, the dead times too."""
        operations.fold(self, super().fold)

    def get_dimensions_from_data(self) -> None:
        """Take the sizes of axes from the data; dead times of other sizes are gone.

        See :meth:`hyperspy.api.signals.BaseSignal.get_dimensions_from_data`.
        """
        super().get_dimensions_from_data()
        if self._kept is not None:
            timekeeping.check_fit(self)

    def interpolate_on_axis(
        self, new_axis: Any, axis: Any = 0, inplace: bool = False, degree: int = 1
    ) -> Any:
        """Interpolate along an axis; along one of the map's, the times are gone.

        See :meth:`hyperspy.api.signals.BaseSignal.interpolate_on_axis`.
        """
        own = operations.times_of_interpolation(self, axis)
        result = super().interpolate_on_axis(new_axis, axis, inplace, degree)
        timekeeping.give(self if inplace else result, own)
        return result

    def transpose(
        self, signal_axes: Any = None, navigation_axes: Any = None, optimize: bool = False
    ) -> Any:
        """Transpose; dead times follow if the same axes navigate.

        See :meth:`hyperspy.api.signals.BaseSignal.transpose`.
        """
        result = super().transpose(signal_axes, navigation_axes, optimize)
        return operations.transposed(self, result, (signal_axes, navigation_axes))

    def swap_axes(self, axis1: Any, axis2: Any, optimize: bool = False) -> Any:
        """Swap two axes; dead times follow if the same axes navigate.

        See :meth:`hyperspy.api.signals.BaseSignal.swap_axes`.
        """
        result = super().swap_axes(axis1, axis2, optimize)
        return operations.swapped(self, result, axis1, axis2)

    def rollaxis(self, axis: Any, to_axis: Any, optimize: bool = False) -> Any:
        """Roll an axis; dead times follow if the same axes navigate.

        See :meth:`hyperspy.api.signals.BaseSignal.rollaxis`.
        """
        result = super().rollaxis(axis, to_axis, optimize)
        return operations.rolled(self, result, axis, to_axis)

    # exspy's methods: what a wrong name may mean, and what its own types and versions need.

    def set_elements(self, elements: Any) -> None:
        """Set the elements; see :meth:`exspy.signals.EDSSpectrum.set_elements`."""
        super().set_elements(check_each(elements, check_element))

    def add_elements(self, elements: Any) -> None:
        """Add elements; see :meth:`exspy.signals.EDSSpectrum.add_elements`."""
        super().add_elements(check_each(elements, check_element))

    def set_lines(
        self, lines: Any, only_one: bool = True, only_lines: Any = ("a",)
    ) -> None:
        """Set X-ray lines; see :meth:`exspy.signals.EDSSpectrum.set_lines`."""
        super().set_lines(check_each(lines, check_line), only_one, only_lines)

    def add_lines(
        self, lines: Any = (), only_one: bool = True, only_lines: Any = ("a",)
    ) -> None:
        """Add X-ray lines; see :meth:`exspy.signals.EDSSpectrum.add_lines`."""
        super().add_lines(check_each(lines, check_line), only_one, only_lines)

    def _get_line_energy(self, Xray_line: str, FWHM_MnKa: Any = None) -> Any:
        """Find the resolution that exspy looks up for its own signal types only."""
        if isinstance(FWHM_MnKa, str) and FWHM_MnKa == "auto":
            FWHM_MnKa = self.metadata.get_item(f"{EDS_DETECTOR}.energy_resolution_MnKa")
        return super()._get_line_energy(Xray_line, FWHM_MnKa)

    def get_take_off_angle(self) -> float:
        """Compute the take-off angle; see :class:`exspy.signals.EDSSEMSpectrum`.

        Returns
        -------
        float
            Degrees.
        """
        # exspy looks for the angles of its own signal types only.
        instrument = self.metadata.get_item(INSTRUMENT)
        return take_off_angle(
            instrument.get_item("Stage.tilt_alpha"),
            instrument.get_item("Detector.EDS.azimuth_angle"),
            instrument.get_item("Detector.EDS.elevation_angle"),
            instrument.get_item("Stage.tilt_beta", 0.0),
        )

    def _plot_xray_lines(self, *args: Any, **kwargs: Any) -> None:
        """Give exspy colours as text, which it sorts; matplotlib 3.11 has them as numbers."""
        cycle = rcParams["axes.prop_cycle"].by_key().get("color", ["C0"])
        with rc_context({"axes.prop_cycle": cycler(color=[to_hex(c) for c in cycle])}):
            super()._plot_xray_lines(*args, **kwargs)


class LazyEDSXFMSpectrum(EDSXFMSpectrum, LazyEDSSEMSpectrum):
    """Lazy :class:`EDSXFMSpectrum`: the spectra are read when they are needed."""

    def rechunk(self, *args: Any, **kwargs: Any) -> Any:
        """Rechunk; see :meth:`hyperspy.api.signals.BaseSignal.rechunk`."""
        return timekeeping.same(self, super().rechunk(*args, **kwargs))
