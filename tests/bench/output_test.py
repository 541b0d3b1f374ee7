"""The files of the comparison, made from results that were not measured."""
import pathlib
import tempfile
import unittest
from xml.etree import ElementTree

import bench_library
import allocators
import chart
import curves
import picture
import results as recording
import rounds
import summary

SVG = '{http://www.w3.org/2000/svg}'
POINTS = [recording.Point(curve, size, name, [float(size), 2.0 * size, 3.0 * size])
          for curve, name in (('threads', 'glibc'), ('threads', 'spanmalloc'),
                              ('live', 'spanmalloc'), ('visit', 'spanmalloc'),
                              ('find', 'spanmalloc'))
          for size in (2, 64)]


def results():
    made = bench_library.two_rows()
    made.points = POINTS
    return made


class FilesTest(unittest.TestCase):
    def test_what_is_saved_is_loaded(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'runs.json')
            results().save(path)
            self.assertEqual(recording.load(path), results())

    def test_a_line_of_csv_for_each_run(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, 'runs.csv')
            results().save_csv(path)
            lines = path.read_text().splitlines()
        self.assertEqual(len(lines), 1 + 2 * 4 * 5)
        self.assertEqual(lines[1], 'scenario,ahead,glibc,0,4.0,2.0,20.0')


class SummaryTest(unittest.TestCase):
    def test_rows_means_and_verdicts(self):
        text = summary.markdown(results())
        for words in ('| ahead ', ' 0.80 ± 0.00 |', 'frontier 0.500', 'CPU time, all (2)',
                      'above 1.05 beyond noise', 'last / first', '32.00'):
            self.assertIn(words, text)

    def test_curves_alone(self):
        made = bench_library.made_results({}, POINTS)
        self.assertIn('last / first', summary.markdown(made))
        ElementTree.fromstring(picture.draw(made))


class PictureTest(unittest.TestCase):
    def test_every_row_and_allocator_is_drawn(self):
        drawing = ElementTree.fromstring(picture.draw(results()))
        texts = {element.text for element in drawing.iter(f'{SVG}text')}
        self.assertLessEqual({'ahead', 'behind', 'spanmalloc', 'left', 'Cost as work grows'},
                             texts)
        titles = {element.text for element in drawing.iter(f'{SVG}title')}
        self.assertIn('behind: spanmalloc 1.10', titles)
        self.assertEqual(len(list(drawing.iter(f'{SVG}polyline'))), 5)
        self.assertIn('prefers-color-scheme: dark', picture.draw(results()))

    def test_names_are_escaped(self):
        self.assertIn('a &lt; b &amp; c', chart.text(0, 0, 'a < b & c'))

    def test_logarithmic_axis(self):
        axis = chart.LogAxis(1, 100, 0, 200)
        self.assertAlmostEqual(axis(10), 100)
        self.assertEqual((axis(0.5), axis(1000)), (0, 200))
        self.assertEqual(axis.ticks((1,)), [1, 10, 100])


class CurvesTest(unittest.TestCase):
    def test_heap_sizes_of_the_micro_benchmark(self):
        record = {'benchmarks': [
            {'name': 'page_allocator/find/1TiB', 'cpu_time': 0.2, 'time_unit': 'us'},
            {'name': 'page_allocator/find/16GiB', 'cpu_time': 50.0, 'time_unit': 'ns'},
            {'name': 'page_allocator/find/16GiB', 'cpu_time': 60.0, 'time_unit': 'ns'},
            {'name': 'page_allocator/find_first/16GiB', 'cpu_time': 1.0, 'time_unit': 'ns'},
            {'name': 'page_allocator/find/16GiB_mean', 'run_type': 'aggregate'}]}
        self.assertEqual(curves.find_points(record),
                         [recording.Point('find', 16, 'spanmalloc', [50.0, 60.0]),
                          recording.Point('find', 1024, 'spanmalloc', [200.0])])


class AllocatorsTest(unittest.TestCase):
    def test_uses_that_pass_the_allocator_by(self):
        allocator = allocators.Allocator('peer', '/lib/peer.so')
        through = {('program', '/lib/peer.so'), ('library', 'program')}
        past = {('other', '/lib/libc.so'), ('own', 'own')}
        self.assertEqual(allocators.strays(allocator, through), set())
        self.assertEqual(allocators.strays(allocator, through | past), past)

    def test_other_builds_of_spanmalloc_are_no_peers(self):
        kinds = [allocators.Allocator(name, '').kind
                 for name in ('glibc', 'snmalloc', 'spanmalloc', 'spanmalloc-before')]
        self.assertEqual(kinds, ['glibc', 'peer', 'own', 'own'])

    def test_a_library_that_does_not_exist(self):
        for text in ('name=/does/not/exist', '/bin/sh', '=/bin/sh'):
            with self.assertRaises(SystemExit):
                allocators.from_option(text)


class RoundsTest(unittest.TestCase):
    def test_as_many_as_fit(self):
        self.assertEqual(rounds.rounds_within(100, 30, 2, 9), 3)
        self.assertEqual(rounds.rounds_within(10, 30, 2, 9), 2)
        self.assertEqual(rounds.rounds_within(1e9, 30, 2, 9), 9)


if __name__ == '__main__':
    unittest.main()
