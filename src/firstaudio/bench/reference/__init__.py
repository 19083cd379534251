"""A server whose figures are stated: the known truth that the harness is held against.

It runs as a program of its own and shares nothing with the server of this package. `running` starts one, `expected`
says what a perfect client must measure of it, and its own log (`ReferenceServer.truth`) says when each chunk left.
"""

from firstaudio.bench.reference.figures import NULL, Figures
from firstaudio.bench.reference.plan import Ask, Expected, expected
from firstaudio.bench.reference.running import ReferenceServer, running

__all__ = ["NULL", "Ask", "Expected", "Figures", "ReferenceServer", "expected", "running"]
