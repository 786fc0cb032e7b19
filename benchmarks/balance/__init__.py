"""What the benchmarks of balance share: a training loop, tables of methods, data, reports.

A benchmark is a file beside this package: a problem, the methods it is tried with, and a judge.
"""

from balance.report import Benchmark, Measured, main
from balance.training import Method, Problem, train

__all__ = ["Benchmark", "Measured", "Method", "Problem", "main", "train"]
