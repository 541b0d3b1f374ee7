"""The arithmetic of a comparison: medians, ratios within rounds, the frontier, geometric means and
what is noise. Fields are those of Cost ('processor' and 'elapsed' in seconds, 'peak' in MiB) or
names of figures that a program measured itself; of all of them less is better."""
import dataclasses
import math
import statistics

import allocators
import table

OWN = allocators.OWN_NAME
BASE = 'glibc'
KINDS = {'scenario': 'scenarios', 'program': 'real programs'}

# Half the width of a 95 % interval of a median is this times the distance of the quartiles over
# the root of the number of runs: McGill, Tukey, Larsen, "Variations of box plots" (1978).
NOTCH = 1.57
# With fewer rounds nothing is said to be beyond noise.
FEWEST_ROUNDS = 3
# What is too short for the clock would make no ratio: costs count as a microsecond or a byte at
# least, figures of programs as 1 of their unit.
SMALLEST_COST = 1e-6
SMALLEST_FIGURE = 1.0


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A median of ratios and how far it may be off; infinitely far with too few rounds."""
    value: float
    noise: float

    def above(self, limit):
        """Whether the ratio is above `limit` by more than the noise."""
        return self.value - self.noise > limit


def amount(cost, field):
    if field in cost.figures:
        return max(cost.figures[field], SMALLEST_FIGURE)
    return max(getattr(cost, field), SMALLEST_COST)


def median(costs, field):
    return statistics.median(amount(cost, field) for cost in costs)


def quartiles(values):
    """The middle of the lower half, the median, the middle of the upper half."""
    if len(values) == 1:
        return [values[0]] * 3
    return statistics.quantiles(values, n=4, method='inclusive')


def judge(ratios):
    """The Ratio for the ratios of single rounds."""
    low, middle, high = quartiles(ratios)
    if len(ratios) < FEWEST_ROUNDS:
        return Ratio(middle, math.inf)
    return Ratio(middle, NOTCH * (high - low) / math.sqrt(len(ratios)))


def ratios(costs, base, field):
    """Round by round, so that a slow minute of the machine falls on both."""
    return [amount(cost, field) / amount(other, field) for cost, other in zip(costs, base)]


class Report:
    """Answers about Results. The frontier is the best peer, row by row and field by field; glibc,
    which everybody has already, is what it is measured from and no peer, unless there is none."""

    def __init__(self, results):
        self.results = results
        self.peers = results.names('peer') or [BASE]

    def rows(self, kind=None):
        """Names of the workloads of one kind or of all."""
        return [row.name for row in self.results.rows if kind in (None, row.kind)]

    def median(self, row, name, field):
        return median(self.results.costs[row, name], field)

    def best_peer(self, row, field):
        return min(self.peers, key=lambda name: self.median(row, name, field))

    def round_ratios(self, row, name, base, field):
        return ratios(self.results.costs[row, name], self.results.costs[row, base], field)

    def ratio(self, row, name, base, field):
        """The Ratio of an allocator to another in one row."""
        return judge(self.round_ratios(row, name, base, field))

    def to_best(self, row, field, name=OWN):
        """The Ratio of spanmalloc to the best peer of the row."""
        return self.ratio(row, name, self.best_peer(row, field), field)

    def best_peer_without(self, row, field, round_left_out):
        """The peer with the least median in the other rounds; in all, where there is one round."""
        def others(name):
            costs = self.results.costs[row, name]
            return costs[:round_left_out] + costs[round_left_out + 1:] or costs
        return min(self.peers, key=lambda name: median(others(name), field))

    def ratios_to_foreseen(self, row, field):
        """Round by round, spanmalloc to the peer that the other rounds say is the best."""
        return [self.round_ratios(row, OWN, self.best_peer_without(row, field, number), field)[number]
                for number in range(self.results.rounds)]

    def mean(self, rows, name_of, base_of, field):
        """Geometric mean over rows of the ratio of allocator name_of(row) to base_of(row). Its
        noise is judged from the means of the single rounds."""
        return self.mean_of([self.round_ratios(row, name_of(row), base_of(row), field)
                             for row in rows])

    @staticmethod
    def mean_of(lists):
        """As mean(), from a list for each row of the ratios of its rounds."""
        value = table.geometric_mean([statistics.median(values) for values in lists])
        by_round = [table.geometric_mean(values) for values in zip(*lists)]
        return Ratio(value, judge(by_round).noise)

    def mean_to_glibc(self, rows, name, field):
        return self.mean(rows, lambda row: name, lambda row: BASE, field)

    def frontier_to_glibc(self, rows, field):
        return self.mean(rows, lambda row: self.best_peer(row, field), lambda row: BASE, field)

    def mean_to_frontier(self, rows, field, name=OWN):
        return self.mean(rows, lambda row: name, lambda row: self.best_peer(row, field), field)

    def mean_to_foreseen(self, rows, field):
        return self.mean_of([self.ratios_to_foreseen(row, field) for row in rows])

    def groups(self):
        """(heading, rows) of scenarios, real programs and all, as far as there are any."""
        found = [(heading, self.rows(kind)) for kind, heading in KINDS.items() if self.rows(kind)]
        return found + [('all', self.rows())] if len(found) > 1 else found

    def worse_rows(self, field):
        """Rows in which spanmalloc is above its best peer, the worst first."""
        worse = [row for row in self.rows() if self.to_best(row, field).value > 1]
        return sorted(worse, key=lambda row: -self.to_best(row, field).value)

    def figure_rows(self):
        """(row, figure) of all that programs measured themselves."""
        return [(row, figure) for row in self.rows()
                for figure in self.results.costs[row, OWN][0].figures]
