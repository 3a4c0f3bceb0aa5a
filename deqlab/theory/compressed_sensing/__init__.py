"""Compressed sensing made executable: l1 and l0 recovery, what can be promised of a matrix, and the
phase-transition diagram.

from deqlab.theory import compressed_sensing as cs
diagram = cs.phase_diagram(cs.Gaussian(), n=128)
print(abs(diagram.half() - cs.donoho_tanner(diagram.delta)).max())
"""

from deqlab.theory.compressed_sensing.guarantees import (
    coherence,
    coherence_guarantee,
    null_space_constant,
    restricted_isometry,
    restricted_isometry_lower_bound,
    spark,
    welch_bound,
)
from deqlab.theory.compressed_sensing.phase_transition import (
    Diagram,
    Gaussian,
    PartialFourier,
    donoho_tanner,
    fourier_rows,
    phase_diagram,
    sparse_signals,
)
from deqlab.theory.compressed_sensing.recovery import (
    BasisPursuitMap,
    MatrixRows,
    Recovery,
    basis_pursuit,
    basis_pursuit_map,
    iterate,
    orthonormal_rows,
    soft_threshold,
)
from deqlab.theory.compressed_sensing.sparsest import exhaustive_l0, orthogonal_matching_pursuit

__all__ = [
    "BasisPursuitMap",
    "Diagram",
    "Gaussian",
    "MatrixRows",
    "PartialFourier",
    "Recovery",
    "basis_pursuit",
    "basis_pursuit_map",
    "coherence",
    "coherence_guarantee",
    "donoho_tanner",
    "exhaustive_l0",
    "fourier_rows",
    "iterate",
    "null_space_constant",
    "orthogonal_matching_pursuit",
    "orthonormal_rows",
    "phase_diagram",
    "restricted_isometry",
    "restricted_isometry_lower_bound",
    "soft_threshold",
    "spark",
    "sparse_signals",
    "welch_bound",
]
