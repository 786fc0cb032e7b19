"""What the demo prints when it is done."""

from __future__ import annotations

import math

from jaxloss import console, verify
from jaxloss.demo import data, objective
from jaxloss.demo.experiment import Results


def print_results(results: Results) -> None:
    """Print the test of both ways of training, the learned weights, where the picture is."""
    names = list(results.metrics)
    first = results.metrics[names[0]]
    rows = [[metric, *_compared(metric, results)] for metric in first]
    rows.append(["kept at step", *(str(results.tracks[n].best_step) for n in names), ""])
    print()
    console.table(
        ["clean test set", *names, "better"], rows, title="Same losses, same network, same batches"
    )
    spread = _standard_error(first["digit accuracy, %"])
    print(
        "plain sum: unweighted, no curriculum. Another test set would move the accuracy of the "
        f"digits by {spread:.1f} points (standard error)."
    )
    weights = ", ".join(f"{task} {weight:.3g}" for task, weight in results.weights.items())
    print(f"\nLearned weights: {weights}.\nPicture: {results.picture}\n")


def _compared(metric: str, results: Results) -> list[str]:
    """Return the numbers of one metric and the name of the better one, as it is printed."""
    texts = {name: f"{metrics[metric]:.2f}" for name, metrics in results.metrics.items()}
    choose = min if "error" in metric else max
    best = choose(map(float, texts.values()))
    winners = [name for name, text in texts.items() if float(text) == best]
    return [*texts.values(), winners[0] if len(winners) == 1 else "equal"]


def _standard_error(percent: float) -> float:
    return math.sqrt(percent * (100 - percent) / data.TEST)


def print_verification(seed: int) -> bool:
    """Verify the losses that were used, print the table, and return whether all is well."""
    names = [loss.__name__ for loss in objective.LOSSES.values()]
    reports = [verify.entry(name, seed=seed) for name in console.track(names, "verifying")]
    columns = ["loss", "pass", "note", "skip", "fail", "seconds"]
    rows = [
        [name, *(report.counts[verdict] for verdict in columns[1:5]), f"{report.seconds:.1f}"]
        for name, report in zip(names, reports, strict=True)
    ]
    console.table(columns, rows, title="The losses used, verified here")
    return all(report.ok for report in reports)
