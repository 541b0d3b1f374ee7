"""The memory benchmark: its aims, tables, files and picture, from runs that were not measured."""
import pathlib
import tempfile
import unittest
from xml.etree import ElementTree

import bench_library
import chart
import control_group
import memory_aims as aims
import memory_picture
import memory_results
import memory_rows as rows
import memory_summary
import results as recording
import watch

MIB = 2**20


def idle_run(residents, floor=10):
    """A run with a sample each second from one second before idleness; 10 s of it."""
    samples = [[float(second - 1), float(value)] for second, value in enumerate(residents)]
    marks = [[-1.0, 'begin', 0], [0.0, 'idle', 0], [10.5, 'idle_end', 0], [11.0, 'live', 1],
             [11.1, 'floor', floor * MIB]]
    return watch.Run('ended', 12.0, 0.5, 1000, float(max(residents)), samples, marks)


def stepping_run(steps, outcome):
    return watch.Run(outcome, 2.0, 1.0, 50, 90.0, [[0.0, 50.0], [1.0, 90.0]],
                     [[float(step), 'step', 20] for step in range(steps)])


def sawtooth_run(processor, other_threads=0):
    return watch.Run('ended', 10.0, processor, 100, 200.0, [],
                     [[10.0, 'other_threads', other_threads]])


def made_results():
    """Spanmalloc settles at 1.05 of its floor, glibc at 1.50; each survives another number of
    steps; the scavenger costs 2 % of time and 1 % of a processor."""
    columns = [recording.Column(name, kind, f'/{name}.so', '')
               for name, kind in bench_library.KINDS.items()]
    made = memory_results.Results(columns, dict(bench_library.ABOUT, group=True))
    falling = [40] * 5 + [20] * 5 + [10.5] * 2
    made.runs = {
        (rows.FRAGMENTED, 'glibc'): [idle_run([15] * 12)],
        (rows.FRAGMENTED, 'spanmalloc'): [idle_run(falling + [999])],
        (rows.GROUP, 'glibc'): [stepping_run(20, 'ended')],
        (rows.GROUP, 'spanmalloc'): [stepping_run(13, 'killed')],
        (rows.SAWTEETH[0], 'spanmalloc'): [sawtooth_run(1.02, 100000000)],
        (f'{rows.SAWTEETH[0]}, scavenger=0', 'spanmalloc'): [sawtooth_run(1.0)]}
    return made


def aim(row, label):
    return next(found for found in aims.AIMS if (found.row, found.label) == (row, label))


class RunTest(unittest.TestCase):
    def test_samples_count_from_idleness_and_end_with_it(self):
        run = idle_run(list(range(20)))
        self.assertEqual(run.resident_at(0), 1)
        self.assertEqual(run.resident_at(5), 6)
        self.assertEqual(run.resident_at(15), 11)
        self.assertIsNone(run.resident_at(-2))

    def test_marks(self):
        marks = watch.read_marks('5000000000 idle 0\nnoise\n7000000000 floor 12\n', 1.0)
        self.assertEqual(marks, [[4.0, 'idle', 0], [6.0, 'floor', 12]])
        samples, shifted = watch.counted_from_idle([[3.0, 1.0], [5.0, 2.0]], marks)
        self.assertEqual(samples, [[-1.0, 1.0], [1.0, 2.0]])
        self.assertEqual(shifted[1], [2.0, 'floor', 12])

    def test_a_mark_that_is_missing(self):
        self.assertIsNone(stepping_run(3, 'killed').value('floor'))


class AimsTest(unittest.TestCase):
    def test_settled_memory(self):
        found = aim(rows.FRAGMENTED, 'RSS / floor after 10 s')
        self.assertAlmostEqual(found.value(made_results(), 'spanmalloc'), 1.05)
        self.assertAlmostEqual(found.value(made_results(), 'glibc'), 1.5)
        self.assertIsNone(found.value(made_results(), 'left'))

    def test_steps_that_were_not_reached(self):
        found = aim(rows.GROUP, 'steps of 20 after it was killed')
        self.assertEqual(found.value(made_results(), 'glibc'), 0)
        self.assertEqual(found.value(made_results(), 'spanmalloc'), 7)

    def test_scavenger_on_and_off(self):
        row = rows.SAWTEETH[0]
        self.assertAlmostEqual(
            aim(row, 'CPU time, scavenger on / off').value(made_results(), 'spanmalloc'), 1.02)
        self.assertAlmostEqual(
            aim(row, 'its threads, percent of a processor').value(made_results(), 'spanmalloc'), 1.0)

    def test_missed(self):
        self.assertEqual(memory_summary.missed(made_results()),
                         [f'{rows.GROUP}: steps of 20 after it was killed'])


class FilesTest(unittest.TestCase):
    def test_what_is_saved_is_loaded(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'runs.json')
            made_results().save(path)
            self.assertEqual(memory_results.load(path), made_results())
            made_results().save_csv(pathlib.Path(folder))
            self.assertEqual(len(pathlib.Path(folder, 'runs.csv').read_text().splitlines()), 1 + 6)
            self.assertEqual(len(pathlib.Path(folder, 'samples.csv').read_text().splitlines()),
                             1 + 12 + 13 + 2 + 2)

    def test_tables_hold_verdicts(self):
        text = memory_summary.markdown(made_results())
        for words in ('≤ 1.10', '1.05', '| met |', 'missed by 7', 'fragmented: after 10 s'):
            self.assertIn(words, ' '.join(text.split()))

    def test_picture_is_xml_with_a_line_for_each_allocator(self):
        drawing = ElementTree.fromstring(memory_picture.draw(made_results()))
        lines = drawing.findall('.//{http://www.w3.org/2000/svg}polyline')
        self.assertEqual([line.get('class') for line in lines], ['base', 'own'])

    def test_thinned_lines_keep_their_corners(self):
        points = [(0.0, 0.0), (5.0, 0.1), (10.0, 0.0), (10.0, 50.0), (20.0, 50.0)]
        self.assertEqual(memory_picture.thinned(points),
                         [(0.0, 0.0), (10.0, 0.0), (10.0, 50.0), (20.0, 50.0)])


class AxisTest(unittest.TestCase):
    def test_ticks_are_round_and_inside(self):
        self.assertEqual(chart.Axis(0, 950, 0, 100).ticks(), [0, 200, 400, 600, 800])
        self.assertEqual(chart.Axis(-3, 12, 0, 100).ticks(), [-2, 0, 2, 4, 6, 8, 10, 12])
        self.assertEqual(chart.Axis(0, 10, 50, 0)(5), 25)


class GroupTest(unittest.TestCase):
    def test_a_group_is_made_and_removed_or_refused(self):
        group = control_group.create(64 * MIB)
        if group is not None:
            with group:
                self.assertTrue(group.folder.is_dir())
            self.assertFalse(group.folder.exists())


if __name__ == '__main__':
    unittest.main()
