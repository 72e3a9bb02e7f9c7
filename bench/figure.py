"""One measured figure beside its target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`target` is the most allowed, or the least where `higher_is_better`. `rival` tells what was measured beside it in the same run."""

    name: str
    value: float
    unit: str
    target: float | None = None
    higher_is_better: bool = False
    rival: str = ""

    @property
    def met(self) -> bool:
        return self.target is None or (self.value >= self.target if self.higher_is_better else self.value <= self.target)

    def line(self) -> str:
        sign = ">=" if self.higher_is_better else "<="
        target = f"target {sign} {self.target:g} {self.unit}" if self.target is not None else ""
        mark = "" if self.target is None else "ok  " if self.met else "MISS"
        return f"{mark:4} {self.name:<52} {self.value:>12,.2f} {self.unit:<8} {target:<26} {self.rival}".rstrip()

    def row(self) -> str:
        sign = "≥" if self.higher_is_better else "≤"
        target = f"{sign} {self.target:g}" if self.target is not None else "-"
        return f"| {self.name} | {self.value:,.2f} {self.unit} | {target} | {'met' if self.met else 'missed'} | {self.rival} |"


def report(figures: list[Figure]) -> None:
    """Prints the figures."""
    for figure in figures:
        print(figure.line(), flush=True)


def percentile(values: list[float], share: float) -> float:
    """The value below which that share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
