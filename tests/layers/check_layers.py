"""Checks the source tree against rules.json; prints each fault on a line, exits 1 if there is any.

usage: check_layers.py <src folder> <rules.json>
"""
import collections
import fnmatch
import json
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
CONDITION = re.compile(r'^\s*#\s*(?:if|elif|else)')
LITERAL_OR_COMMENT = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-zA-Z_])\'(?:\\.|[^\'\\\n])+\'', re.S)


def without_comments(text):
    """The code alone: comments and literals blanked, line breaks kept."""
    return LITERAL_OR_COMMENT.sub(lambda match: re.sub(r'[^\n]', ' ', match.group()), text)


def functions(code):
    """Yields (first line, line count, head) of every function body in code without comments."""
    scopes = []
    head_start = 0
    for position, character in enumerate(code):
        if character == '{':
            head = code[head_start:position]
            head = re.sub(r'^\s*#.*$', '', head, flags=re.M).strip()
            if 'function' in (kind for kind, _, _ in scopes):
                kind = 'block'
            elif re.match(r'(inline\s+)?namespace\b|extern\b\s*$', head):
                kind = 'namespace'
            elif re.search(r'\)\s*(const|noexcept|override|final|requires\b.*|->.*|&|:.*|\s)*$',
                           head, re.S) and not re.search(r'=\s*$', head):
                kind = 'function'
            elif re.search(r'\b(class|struct|union|enum)\b', head):
                kind = 'type'
            else:
                kind = 'block'
            first = code.count('\n', 0, position) + 1 - head.count('\n')
            scopes.append((kind, first, ' '.join(head.split())))
            head_start = position + 1
        elif character == '}':
            if scopes:
                kind, first, head = scopes.pop()
                if kind == 'function':
                    yield first, code.count('\n', 0, position) + 2 - first, head
            head_start = position + 1
        elif character == ';':
            head_start = position + 1


def include_faults(name, text, rules):
    """Layers included upward or sideways, and layers nobody has named."""
    layer = name.split('/')[0]
    if layer not in rules['layers']:
        yield f'{name}: folder {layer}/ is no layer of rules.json'
        return
    for target in INCLUDE.findall(text):
        if '/' not in target:
            yield f'{name}: include "{target}" must be written "layer/file.h"'
        elif target.split('/')[0] not in [layer] + rules['layers'][layer]:
            yield f'{name}: layer {layer} must not include "{target}"'


def condition_faults(name, text, rules):
    """Conditional compilation and system macros where they do not belong, and wrong guards."""
    if any(fnmatch.fnmatch(name, pattern) for pattern in rules['system_files']):
        return
    guard = 'SPANMALLOC_' + re.sub(r'[/.]', '_', name).upper() + '_'
    if name.endswith('.h') and not re.search(
            rf'^#ifndef {guard}\n#define {guard}$', text, re.M):
        yield f'{name}: no include guard {guard}'
    for number, line in enumerate(without_comments(text).split('\n'), 1):
        if CONDITION.match(line) and line.strip() != f'#ifndef {guard}':
            yield f'{name}:{number}: conditional compilation: {line.strip()}'
        for macro in rules['system_macros']:
            if re.search(rf'\b{macro}\b', line):
                yield f'{name}:{number}: system macro {macro}'


def size_faults(name, text, rules):
    """Files and functions that are too long."""
    lines = text.count('\n')
    if lines > rules['file_lines']:
        yield f'{name}: {lines} lines, at most {rules["file_lines"]}'
    for first, count, head in functions(without_comments(text)):
        if count > rules['function_lines']:
            yield (f'{name}:{first}: function of {count} lines, at most '
                   f'{rules["function_lines"]}: {head[-60:]}')


def cycle_faults(texts):
    """One fault per cycle of includes, found as back edges of a depth-first walk."""
    graph = {name: [t for t in INCLUDE.findall(text) if t in texts]
             for name, text in texts.items()}
    state = collections.defaultdict(str)
    path = []

    def walk(name):
        state[name] = 'open'
        path.append(name)
        for target in graph[name]:
            if state[target] == 'open':
                yield 'include cycle: ' + ' > '.join(path[path.index(target):] + [target])
            elif not state[target]:
                yield from walk(target)
        path.pop()
        state[name] = 'done'

    for name in sorted(graph):
        if not state[name]:
            yield from walk(name)


def faults(source, rules):
    """All faults under the folder `source`."""
    texts = {path.relative_to(source).as_posix(): path.read_text()
             for path in sorted(source.rglob('*')) if path.suffix in ('.h', '.cc')}
    if not texts:
        yield f'{source}: no sources found'
    for name, text in texts.items():
        yield from include_faults(name, text, rules)
        yield from condition_faults(name, text, rules)
        yield from size_faults(name, text, rules)
    yield from cycle_faults(texts)


def main():
    source, rules = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
    found = list(faults(source, rules))
    for fault in found:
        print(fault)
    print(f'{len(found)} faults')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
