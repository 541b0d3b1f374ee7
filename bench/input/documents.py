"""Writes a large document, the same at every call.

usage: documents.py json|xml|graph|table|problem|markdown <size> <file>
"""
import json
import random
import sys


def words(source, count):
    return ' '.join(f'word{source.randrange(3000)}' for _ in range(count))


def write_json(source, size, out):
    """One array of records."""
    out.write(json.dumps([
        {'id': number, 'group': f'group {source.randrange(200)}', 'text': words(source, 8),
         'parts': [{'key': f'k{source.randrange(50)}', 'value': source.randrange(10000)}
                   for _ in range(source.randrange(1, 6))]}
        for number in range(size)]))


def write_xml(source, size, out):
    """A catalogue of articles with attributes and nested text."""
    out.write('<?xml version="1.0"?>\n<catalogue>\n')
    for number in range(size):
        out.write(f'<article id="a{number}" group="g{source.randrange(100)}">\n'
                  f'  <title>{words(source, 4)}</title>\n')
        for _ in range(source.randrange(1, 5)):
            out.write(f'  <offer cents="{source.randrange(10000)}"><shop>{words(source, 2)}</shop>'
                      f'<remark lang="en">{words(source, 5)} <b>{words(source, 1)}</b></remark>'
                      '</offer>\n')
        out.write('</article>\n')
    out.write('</catalogue>\n')


def write_graph(source, size, out):
    """A graph in layers, as a build system or a call tree prints them."""
    out.write('digraph g {\n  node [shape=box];\n')
    for number in range(1, size):
        out.write(f'  n{number} [label="{words(source, 2)}"];\n')
        for _ in range(source.randrange(1, 3)):
            out.write(f'  n{source.randrange(number // 3, number)} -> n{number};\n')
    out.write('}\n')


def write_table(source, size, out):
    """Rows of columns separated by blanks."""
    for _ in range(size):
        out.write(f'user{source.randrange(20000)} /page/{source.randrange(30000)} '
                  f'{source.randrange(100000)} {words(source, 3)}\n')


def write_problem(source, size, out):
    """Integer constraints with choices, for a solver."""
    out.write('(set-option :random-seed 1)\n(set-option :smt.random_seed 1)\n(set-logic QF_LIA)\n')
    for number in range(size):
        out.write(f'(declare-const x{number} Int)\n(assert (<= 0 x{number} 400))\n')
    for number in range(size):
        for _ in range(3):
            other = source.randrange(size)
            if other != number:
                first, second = source.randrange(2, 20), source.randrange(2, 20)
                out.write(f'(assert (or (<= (+ x{number} {first}) x{other}) '
                          f'(<= (+ x{other} {second}) x{number})))\n')
        if number % 5 == 0:
            chosen = source.sample(range(size), 3)
            total = ' '.join(f'(* {source.randrange(1, 9)} x{index})' for index in chosen)
            out.write(f'(assert (= (+ {total}) {source.randrange(600, 2400)}))\n')
    out.write('(check-sat)\n(get-info :reason-unknown)\n')


def write_markdown(source, size, out):
    """A book of `size` sections with lists, links and quotations."""
    for number in range(size):
        out.write(f'## {words(source, 3)}\n\n{words(source, 30)}\n\n'
                  f'* *{words(source, 2)}* [{words(source, 1)}](https://example.org/{number})\n'
                  f'* `{words(source, 1)}` and **{words(source, 2)}**\n'
                  f'  * {words(source, 12)}\n\n> {words(source, 15)}\n\n')


def main():
    writers = {'json': write_json, 'xml': write_xml, 'graph': write_graph, 'table': write_table,
               'problem': write_problem, 'markdown': write_markdown}
    what, size, path = sys.argv[1:]
    with open(path, 'w', encoding='ascii') as out:
        writers[what](random.Random(5), int(size), out)


main()
