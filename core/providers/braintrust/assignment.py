"""Pairs of two lists whose likenesses are together the greatest: what autoevals takes scipy for, of 100 MB.

Source: the Hungarian algorithm with potentials, https://cp-algorithms.com/graph/hungarian-algorithm.html, O(n^2 m).
"""

from collections.abc import Sequence
import math


def best_total(likenesses: Sequence[Sequence[float]]) -> float:
    """The greatest sum of entries of which no two are in one row or column, with as many as there can be."""
    if not likenesses or not likenesses[0]:
        return 0.0
    rows = likenesses if len(likenesses) <= len(likenesses[0]) else list(zip(*likenesses, strict=True))
    columns = len(rows[0])
    row_prices, column_prices = [0.0] * (len(rows) + 1), [0.0] * (columns + 1)
    row_of = [0] * (columns + 1)  # by column, both from 1; 0 is none
    for row in range(1, len(rows) + 1):
        row_of[0] = row
        _extend(rows, row_of, row_prices, column_prices)
    return math.fsum(rows[row - 1][column - 1] for column, row in enumerate(row_of) if column and row)


def _extend(
    rows: Sequence[Sequence[float]], row_of: list[int], row_prices: list[float], column_prices: list[float]
) -> None:
    """One row more is matched, along the cheapest path to a free column."""
    columns = len(column_prices)
    least, before, seen = [math.inf] * columns, [0] * columns, [False] * columns
    column = 0
    while row_of[column]:
        seen[column] = True
        row = row_of[column]
        for other in range(1, columns):
            cost = -rows[row - 1][other - 1] - row_prices[row] - column_prices[other]
            if not seen[other] and cost < least[other]:
                least[other], before[other] = cost, column
        following = min((other for other in range(1, columns) if not seen[other]), key=least.__getitem__)
        step = least[following]
        for other in range(columns):
            if seen[other]:
                row_prices[row_of[other]] += step
                column_prices[other] -= step
            else:
                least[other] -= step
        column = following
    while column:
        row_of[column] = row_of[before[column]]
        column = before[column]
