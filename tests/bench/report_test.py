"""The arithmetic of the comparison."""
import math
import unittest

import bench_library
import report as reporting
import table


class MedianTest(unittest.TestCase):
    def test_the_middle_of_an_odd_number(self):
        costs = [bench_library.cost(seconds) for seconds in (9.0, 1.0, 2.0)]
        self.assertEqual(reporting.median(costs, 'processor'), 2.0)
        self.assertEqual(reporting.median(costs, 'elapsed'), 4.0)
        self.assertEqual(reporting.median(costs, 'peak'), 20.0)

    def test_a_figure_of_the_program(self):
        costs = [bench_library.cost(1.0, longest=value) for value in (30.0, 10.0, 20.0)]
        self.assertEqual(reporting.median(costs, 'longest'), 20.0)

    def test_nothing_is_below_what_a_clock_shows(self):
        self.assertGreater(reporting.amount(bench_library.cost(0.0), 'processor'), 0)
        self.assertEqual(reporting.amount(bench_library.cost(1.0, call=0.0), 'call'), 1.0)

    def test_quartiles(self):
        self.assertEqual(reporting.quartiles([5.0, 1.0, 2.0, 4.0, 3.0]), [2.0, 3.0, 4.0])
        self.assertEqual(reporting.quartiles([7.0]), [7.0] * 3)


class NoiseTest(unittest.TestCase):
    def test_equal_rounds_have_none(self):
        self.assertEqual(reporting.judge([1.1] * 5), reporting.Ratio(1.1, 0.0))

    def test_width_follows_the_quartiles_and_the_rounds(self):
        ratio = reporting.judge([1.0, 1.1, 1.2, 1.3, 1.4])
        self.assertAlmostEqual(ratio.value, 1.2)
        self.assertAlmostEqual(ratio.noise, 1.57 * 0.2 / math.sqrt(5))

    def test_above_only_beyond_the_noise(self):
        self.assertTrue(reporting.Ratio(1.10, 0.04).above(1.05))
        self.assertFalse(reporting.Ratio(1.10, 0.06).above(1.05))
        self.assertTrue(reporting.Ratio(1.10, 0.06).above(1.00))

    def test_two_rounds_say_nothing(self):
        ratio = reporting.judge([3.0, 3.0])
        self.assertEqual(ratio.value, 3.0)
        self.assertFalse(ratio.above(1.0))


class MeanTest(unittest.TestCase):
    def test_geometric_mean(self):
        self.assertAlmostEqual(table.geometric_mean([0.5, 2.0]), 1.0)
        self.assertAlmostEqual(table.geometric_mean([1.0, 8.0]), math.sqrt(8))

    def test_ratios_are_taken_within_rounds(self):
        # The machine is ten times as slow in the second round; the ratio is not.
        made = bench_library.made_results({'row': ('scenario', {
            'glibc': [1.0, 10.0, 1.0], 'left': [1.0, 10.0, 1.0], 'right': [9.0, 90.0, 9.0],
            'spanmalloc': [0.5, 5.0, 0.5]})})
        ratio = reporting.Report(made).to_best('row', 'processor')
        self.assertEqual(ratio, reporting.Ratio(0.5, 0.0))


class FrontierTest(unittest.TestCase):
    def setUp(self):
        self.report = reporting.Report(bench_library.two_rows())

    def test_best_peer_row_by_row(self):
        self.assertEqual(self.report.best_peer('ahead', 'processor'), 'left')
        self.assertEqual(self.report.best_peer('behind', 'processor'), 'right')

    def test_glibc_and_spanmalloc_are_no_peers(self):
        self.assertEqual(self.report.peers, ['left', 'right'])

    def test_glibc_stands_in_where_no_peer_is_installed(self):
        made = bench_library.two_rows()
        made.columns = [column for column in made.columns if column.kind != 'peer']
        self.assertEqual(reporting.Report(made).best_peer('ahead', 'processor'), 'glibc')

    def test_means_over_all_rows(self):
        rows = self.report.rows()
        self.assertAlmostEqual(self.report.frontier_to_glibc(rows, 'processor').value, 0.5)
        self.assertAlmostEqual(self.report.mean_to_frontier(rows, 'processor').value,
                               math.sqrt(0.8 * 1.1))
        self.assertAlmostEqual(self.report.mean_to_glibc(rows, 'left', 'processor').value,
                               math.sqrt(0.5 * 0.625))

    def test_the_foreseen_peer_is_chosen_by_the_other_rounds(self):
        # Each peer is lucky once; the right one is the better one.
        made = bench_library.made_results({'row': ('scenario', {
            'glibc': [1.0] * 3, 'left': [0.4, 1.0, 1.0], 'right': [0.8, 0.8, 0.5],
            'spanmalloc': [0.8] * 3})})
        report = reporting.Report(made)
        self.assertEqual([report.best_peer_without('row', 'processor', number)
                          for number in range(3)], ['right', 'right', 'left'])
        ratios = report.ratios_to_foreseen('row', 'processor')
        for ratio, wanted in zip(ratios, (1.0, 1.0, 0.8)):
            self.assertAlmostEqual(ratio, wanted)
        self.assertAlmostEqual(report.mean_to_foreseen(['row'], 'processor').value, 1.0)

    def test_with_one_round_the_foreseen_peer_is_the_best(self):
        made = bench_library.made_results({'row': ('scenario', {
            'glibc': [1.0], 'left': [0.5], 'right': [0.4], 'spanmalloc': [0.4]})})
        self.assertEqual(reporting.Report(made).best_peer_without('row', 'processor', 0), 'right')

    def test_groups(self):
        self.assertEqual(self.report.groups(), [('scenarios', ['ahead']),
                                                ('real programs', ['behind']),
                                                ('all', ['ahead', 'behind'])])

    def test_rows_above_the_best_peer(self):
        self.assertEqual(self.report.worse_rows('processor'), ['behind'])
        self.assertTrue(self.report.to_best('behind', 'processor').above(1.05))


if __name__ == '__main__':
    unittest.main()
