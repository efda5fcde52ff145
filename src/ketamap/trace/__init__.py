"""Finding axons in a volume and measuring their length."""

from ketamap.trace.axons import Tracing as Tracing
from ketamap.trace.axons import trace_axons as trace_axons
from ketamap.trace.calibration import Calibration as Calibration
from ketamap.trace.calibration import calibrate as calibrate
from ketamap.trace.saturation import corrected_length as corrected_length

__all__ = ["Calibration", "Tracing", "calibrate", "corrected_length", "trace_axons"]
