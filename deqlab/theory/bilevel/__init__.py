"""Bilevel optimisation: hyperparameters learned by the gradient of a validation loss through the
solution of an inner problem.

from deqlab.theory import bilevel
print(bilevel.compare(bilevel.breast_cancer).table())
"""

from deqlab.theory.bilevel.compare import METHODS, Comparison, compare, run
from deqlab.theory.bilevel.datasets import breast_cancer, digits, newsgroups
from deqlab.theory.bilevel.descent import Outer, Trace, descend
from deqlab.theory.bilevel.hypergradient import (
    SHINE,
    AwareSHINE,
    FullInversion,
    JacobianFree,
    Method,
    backward,
    forward,
    hypergradient,
)
from deqlab.theory.bilevel.logistic import Logistic, Split
from deqlab.theory.bilevel.problem import DescentMap, Problem
from deqlab.theory.bilevel.reconstruction import Smoothing, reconstruction
from deqlab.theory.bilevel.search import GridSearch, RandomSearch, Search, optimum, search

__all__ = [
    "METHODS",
    "SHINE",
    "AwareSHINE",
    "Comparison",
    "DescentMap",
    "FullInversion",
    "GridSearch",
    "JacobianFree",
    "Logistic",
    "Method",
    "Outer",
    "Problem",
    "RandomSearch",
    "Search",
    "Smoothing",
    "Split",
    "Trace",
    "backward",
    "breast_cancer",
    "compare",
    "descend",
    "digits",
    "forward",
    "hypergradient",
    "newsgroups",
    "optimum",
    "reconstruction",
    "run",
    "search",
]
