"""Blood in a marrow aspirate shows in the maturity of its granulocytes."""

from __future__ import annotations

import numpy as np
import pytest

from cytoflow_car.clustering.settings import HemodilutionSetting
from cytoflow_car.clustering.specimen import flag_hemodilution

NAMES = ("T cells", "neutrophil", "immature granulocyte")
SETTING = HemodilutionSetting(mature=("neutrophil",), immature=("immature granulocyte",))


@pytest.mark.parametrize(
    ("n_mature", "n_immature", "flags"),
    [
        (860, 140, ("HEMODILUTED",)),
        (850, 150, ()),
        (400, 600, ()),
        # Too few to tell.
        (199, 0, ()),
        (200, 0, ("HEMODILUTED",)),
        (0, 0, ()),
    ],
)
def test_nearly_all_granulocytes_mature_means_blood(
    n_mature: int, n_immature: int, flags: tuple[str, ...]
) -> None:
    codes = np.repeat([0, 1, 2], [5000, n_mature, n_immature]).astype(np.int16)
    assert flag_hemodilution(SETTING, NAMES, codes) == flags


def test_without_a_setting_nothing_is_said() -> None:
    assert flag_hemodilution(None, NAMES, np.ones(1000, dtype=np.int16)) == ()
