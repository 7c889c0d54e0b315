"""FlowCytometryTools 0.5.1: its scripts run, and its measurements, plates and gates come and go.

::

    from cytoflow_car.interop.flowcytometrytools import load
    load()
    from FlowCytometryTools import FCMeasurement, FCPlate, ThresholdGate
"""

from cytoflow_car.interop.flowcytometrytools_gates import (
    PopulationGate,
    gate_to_flowcytometrytools,
    gates_from_flowcytometrytools,
)
from cytoflow_car.interop.flowcytometrytools_loading import load
from cytoflow_car.interop.flowcytometrytools_plates import (
    plate_from_folder,
    plate_from_samples,
    plate_from_sheet,
    samples_from_plate,
    write_plate,
)
from cytoflow_car.interop.flowcytometrytools_samples import (
    measurement_from_sample,
    sample_from_measurement,
)

__all__ = [
    "PopulationGate",
    "gate_to_flowcytometrytools",
    "gates_from_flowcytometrytools",
    "load",
    "measurement_from_sample",
    "plate_from_folder",
    "plate_from_samples",
    "plate_from_sheet",
    "sample_from_measurement",
    "samples_from_plate",
    "write_plate",
]
