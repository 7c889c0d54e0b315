"""The cytometer's detectors and the two panels: which label reports which antigen, how brightly.

Light is counted in photo-electrons of the label's own detector. The numbers are those of a
three-laser clinical cytometer in order of magnitude; none belongs to one instrument.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TOP_OF_RANGE = 262144.0
SCATTER = ("FSC-A", "FSC-H", "SSC-A")
TIME = "Time"
TIME_STEP_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Detector:
    """One photomultiplier.

    Attributes
    ----------
    autofluorescence
        Photo-electrons from an unstained resting lymphocyte.
    electronic_noise
        Standard deviation of the baseline, in photo-electrons.
    gain
        Data units a photo-electron, on an average day.
    voltage
        ``$PnV``.
    """

    autofluorescence: float
    electronic_noise: float
    gain: float
    voltage: float


@dataclass(frozen=True, slots=True)
class Stain:
    """A conjugate or dye of a panel.

    Attributes
    ----------
    detector, marker
        ``$PnN`` and ``$PnS``.
    antigen
        Name in the tables of `cells`; a viability dye counts as an antigen of dead cells.
    brightness
        Photo-electrons a thousand copies of the antigen.
    label
        Row of the spillover table.
    """

    detector: str
    marker: str
    antigen: str
    brightness: float
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """The stains of one tube, in the order of the file's columns."""

    version: str
    stains: tuple[Stain, ...]

    @property
    def detectors(self) -> tuple[str, ...]:
        """Fluorescence detectors, one a stain."""
        return tuple(stain.detector for stain in self.stains)

    @property
    def antigens(self) -> tuple[str, ...]:
        """What each stain reports."""
        return tuple(stain.antigen for stain in self.stains)


DETECTORS = {
    "FITC-A": Detector(35, 6, 11, 480),
    "PE-A": Detector(25, 5, 13, 510),
    "PerCP-Cy5-5-A": Detector(15, 6, 11, 590),
    "PE-Cy7-A": Detector(10, 6, 12, 640),
    "APC-A": Detector(8, 6, 12, 600),
    "Alexa Fluor 700-A": Detector(6, 7, 11, 620),
    "APC-H7-A": Detector(8, 7, 12, 650),
    "BV421-A": Detector(30, 6, 10, 420),
    "V500-A": Detector(45, 6, 10, 450),
    "BV605-A": Detector(18, 6, 12, 520),
    "BV650-A": Detector(10, 6, 12, 550),
    "BV711-A": Detector(8, 6, 12, 580),
    "BV786-A": Detector(9, 7, 11, 610),
}

# Share of a label's photo-electrons that another detector counts, relative to its own detector.
_SPILL: dict[str, dict[str, float]] = {
    "FITC": {"PE-A": 0.14, "PerCP-Cy5-5-A": 0.02, "V500-A": 0.015, "BV605-A": 0.004},
    "PE": {
        "FITC-A": 0.008,
        "PerCP-Cy5-5-A": 0.22,
        "PE-Cy7-A": 0.025,
        "BV605-A": 0.06,
        "BV650-A": 0.015,
    },
    "PerCP-Cy5-5": {
        "PE-Cy7-A": 0.14,
        "APC-A": 0.02,
        "Alexa Fluor 700-A": 0.07,
        "APC-H7-A": 0.03,
        "BV711-A": 0.12,
        "BV786-A": 0.04,
    },
    "7-AAD": {
        "PE-A": 0.05,
        "PE-Cy7-A": 0.20,
        "APC-A": 0.01,
        "APC-H7-A": 0.01,
        "BV605-A": 0.02,
    },
    "PE-Cy7": {"PE-A": 0.018, "PerCP-Cy5-5-A": 0.03, "APC-H7-A": 0.06, "BV786-A": 0.05},
    "APC": {
        "PerCP-Cy5-5-A": 0.01,
        "Alexa Fluor 700-A": 0.28,
        "APC-H7-A": 0.07,
        "BV650-A": 0.12,
    },
    "Alexa Fluor 700": {
        "APC-A": 0.01,
        "APC-H7-A": 0.28,
        "BV711-A": 0.04,
        "BV786-A": 0.03,
    },
    "APC-H7": {
        "PE-Cy7-A": 0.04,
        "APC-A": 0.035,
        "Alexa Fluor 700-A": 0.06,
        "BV786-A": 0.07,
    },
    "BV421": {"V500-A": 0.10, "BV605-A": 0.006},
    "V500": {
        "FITC-A": 0.035,
        "PE-A": 0.02,
        "BV421-A": 0.03,
        "BV605-A": 0.12,
        "BV650-A": 0.03,
    },
    "BV605": {
        "PE-A": 0.045,
        "PerCP-Cy5-5-A": 0.02,
        "V500-A": 0.01,
        "BV650-A": 0.30,
        "BV711-A": 0.14,
        "BV786-A": 0.06,
    },
    "BV650": {
        "APC-A": 0.16,
        "Alexa Fluor 700-A": 0.08,
        "BV605-A": 0.03,
        "BV711-A": 0.26,
        "BV786-A": 0.12,
    },
    "BV711": {
        "PerCP-Cy5-5-A": 0.04,
        "Alexa Fluor 700-A": 0.10,
        "BV650-A": 0.02,
        "BV786-A": 0.22,
    },
    "BV786": {"PE-Cy7-A": 0.03, "APC-H7-A": 0.08, "BV711-A": 0.05},
}


def spillover_matrix(panel: Panel) -> npt.NDArray[np.float64]:
    """Return the spillover of photo-electrons, (n_stains, n_stains), diagonal 1.

    Row = the stain, column = the detector of the panel that counts its light.
    """
    matrix = np.eye(len(panel.stains))
    for row, stain in enumerate(panel.stains):
        for column, detector in enumerate(panel.detectors):
            if row != column:
                matrix[row, column] = _SPILL[stain.label].get(detector, 0.0)
    return matrix


def _t_panel(version: str, car_antigen: str) -> Panel:
    return Panel(
        version,
        (
            Stain("FITC-A", "CD45RA FITC", "CD45RA", 4.5, "FITC"),
            Stain("PE-A", "CAR PE", car_antigen, 75.0, "PE"),
            Stain("PerCP-Cy5-5-A", "7-AAD", "viability", 1.0, "7-AAD"),
            Stain("PE-Cy7-A", "CD8 PE-Cy7", "CD8", 2.9, "PE-Cy7"),
            Stain("APC-A", "CD14+CD235a APC", "CD14+CD235a", 4.5, "APC"),
            Stain("APC-H7-A", "CD3 APC-H7", "CD3", 4.8, "APC-H7"),
            Stain("BV421-A", "CCR7 BV421", "CCR7", 20.0, "BV421"),
            Stain("V500-A", "CD45 V500", "CD45", 2.4, "V500"),
            Stain("BV605-A", "CD4 BV605", "CD4", 9.0, "BV605"),
        ),
    )


#: Tube to the CAR that its reagent binds.
CAR_ANTIGEN = {"T": "CAR19", "T22": "CAR22"}

#: The T-cell tube: CAR by CD19-Fc, and the same with CD22-Fc.
T_PANEL = _t_panel("T-1", CAR_ANTIGEN["T"])
T22_PANEL = _t_panel("T22-1", CAR_ANTIGEN["T22"])

#: The B-cell and blast tube.
B_PANEL = Panel(
    "B-1",
    (
        Stain("FITC-A", "CD58 FITC", "CD58", 16.0, "FITC"),
        Stain("PE-A", "CD22 PE", "CD22", 44.0, "PE"),
        Stain("PerCP-Cy5-5-A", "CD34 PerCP-Cy5-5", "CD34", 7.5, "PerCP-Cy5-5"),
        Stain("PE-Cy7-A", "CD19 PE-Cy7", "CD19", 14.0, "PE-Cy7"),
        Stain("APC-A", "CD10 APC", "CD10", 8.0, "APC"),
        Stain("Alexa Fluor 700-A", "CD81 AF700", "CD81", 1.9, "Alexa Fluor 700"),
        Stain("APC-H7-A", "CD20 APC-H7", "CD20", 3.2, "APC-H7"),
        Stain("BV421-A", "CD38 BV421", "CD38", 5.0, "BV421"),
        Stain("V500-A", "CD45 V500", "CD45", 2.4, "V500"),
        Stain("BV605-A", "CD66b BV605", "CD66b", 5.0, "BV605"),
        Stain("BV650-A", "CD24 BV650", "CD24", 4.0, "BV650"),
        Stain("BV711-A", "CD123 BV711", "CD123", 8.0, "BV711"),
        Stain("BV786-A", "Viability", "viability", 1.0, "BV786"),
    ),
)

PANELS = {"T": T_PANEL, "T22": T22_PANEL, "B": B_PANEL}
