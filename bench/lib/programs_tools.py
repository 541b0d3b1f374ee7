"""The rows that are compilers, solvers, and tools for documents and repositories."""
from generated import INPUT, Generated, scaled
from workloads import Program

PACKAGES = ['g++', 'clang-14', 'clang-format-14', 'cmake', 'git', 'yosys', 'z3', 'doxygen',
            'ghostscript', 'graphviz', 'xsltproc', 'libxml2-utils', 'verilator', 'iverilog',
            'cppcheck', 'protobuf-compiler', 'cmark']


def compiler_rows(launcher, folder, quick):
    """Two compilers on a file of templates; their output is compared."""
    count = '1' if quick else '4'
    source = folder / f'modules-{count}.cc'
    recipe = [(('sources.py', 'modules', count), source)]
    rows = []
    for compiler in ('g++', 'clang++-14'):
        command = [compiler, '-std=c++17', '-O0', '-S', '-o', '-']
        rows.append(Generated(launcher, compiler, 2.0, command + [source],
                              command + ['-x', 'c++', '/dev/null'], recipe))
    return rows


def translator_rows(launcher, folder, quick):
    """A chip compiled to programs, and messages to classes; what is made is compared, but for
    iverilog's."""
    parts = scaled(quick, 250)
    chip = folder / f'chip-{parts}.v'
    recipe = [(('sources.py', 'chip', parts), chip)]
    count = scaled(quick, 700)
    messages = folder / f'messages-{count}.proto'
    made = folder / 'made'
    into = ['sh', '-c', 'rm -rf "$0" && mkdir "$0" && "$@" && cat "$0"/*.c* | cksum', made]
    return [
        Generated(launcher, 'iverilog', 0.5, ['iverilog', '-o', '/dev/null', chip],
                  ['iverilog', '-V'], recipe),
        Generated(launcher, 'verilator', 2.0,
                  into + ['verilator_bin', '--cc', '--Mdir', made, '-Wno-fatal', '--top-module',
                          'top', chip],
                  ['verilator_bin', '--version'], recipe),
        Generated(launcher, 'protoc', 1.0,
                  into + ['protoc', f'--proto_path={folder}', f'--cpp_out={made}', messages],
                  ['protoc', '--version'], [(('sources.py', 'messages', count), messages)]),
    ]


def source_rows(launcher, folder, quick):
    """Tools that read source text."""
    classes = scaled(quick, 240)
    header = folder / f'library-{classes}.h'
    recipe = [(('sources.py', 'library', classes), header)]
    functions = scaled(quick, 220)
    lists = folder / f'lists-{functions}.c'
    settings = ''.join(f'{line}\n' for line in (
        f'INPUT={header}', f'OUTPUT_DIRECTORY={folder / "doxygen"}', 'GENERATE_LATEX=NO',
        'GENERATE_HTML=NO', 'GENERATE_XML=YES', 'HAVE_DOT=NO', 'QUIET=YES', 'WARNINGS=NO',
        'WARN_IF_DOC_ERROR=NO', 'WARN_IF_INCOMPLETE_DOC=NO'))
    return [
        Generated(launcher, 'clang-format', 1.0, ['clang-format-14', '--style=Google', header],
                  ['clang-format-14', '--version'], recipe),
        Generated(launcher, 'doxygen', 1.5,
                  ['sh', '-c', 'printf %s "$1" | doxygen - && cat "$2"/xml/*.xml | cksum', 'sh',
                   settings, folder / 'doxygen'],
                  ['doxygen', '--version'], recipe),
        Generated(launcher, 'cppcheck', 1.2, ['cppcheck', '--enable=style', '-q', lists],
                  ['cppcheck', '--version'], [(('sources.py', 'lists', functions), lists)]),
        Program(launcher, 'cmake, lists', 1.2,
                ['cmake', f'-DCOUNT={scaled(quick, 1000)}', '-P', INPUT / 'lists.cmake'],
                ['cmake', '--version']),
    ]


def solver_rows(launcher, folder, quick):
    """A circuit compiled to gates, and constraints solved."""
    stages = scaled(quick, 24)
    circuit = folder / f'circuit-{stages}.v'
    size = '30' if quick else '40'
    problem = folder / f'problem-{size}.smt2'
    return [
        Generated(launcher, 'yosys', 1.5,
                  ['yosys', '-q', '-p', f'read_verilog {circuit}; synth -top top -noabc; '
                   'tee -o /dev/stdout stat'], ['yosys', '-V'],
                  [(('sources.py', 'circuit', stages), circuit)]),
        Generated(launcher, 'z3', 1.2, ['z3', problem], ['z3', '--version'],
                  [(('documents.py', 'problem', size), problem)]),
    ]


def document_rows(launcher, folder, quick):
    """Pages, graphs and trees."""
    articles = scaled(quick, 20000)
    catalogue = folder / f'catalogue-{articles}.xml'
    nodes = scaled(quick, 1000)
    graph = folder / f'graph-{nodes}.dot'
    recipe = [(('documents.py', 'xml', articles), catalogue)]
    sections = scaled(quick, 30000)
    book = folder / f'book-{sections}.md'
    query = 'count(/catalogue/article[offer/@cents > 5000]/offer/remark/b[contains(., "7")])'
    return [
        Program(launcher, 'ghostscript', 1.0,
                ['gs', '-q', '-dBATCH', '-dNOPAUSE', '-sDEVICE=pgmraw', '-r72',
                 f'-dCOUNT={scaled(quick, 28)}', '-sOutputFile=/dev/null', INPUT / 'pages.ps'],
                ['gs', '-q', '-dBATCH', '-dNODISPLAY']),
        Generated(launcher, 'dot, layers', 1.2, ['dot', '-Tplain', graph], ['dot', '-V'],
                  [(('documents.py', 'graph', nodes), graph)]),
        Generated(launcher, 'xsltproc', 1.0, ['xsltproc', INPUT / 'sheet.xsl', catalogue],
                  ['xsltproc', '--version'], recipe),
        Generated(launcher, 'cmark', 0.5, ['cmark', book], ['cmark', '--version'],
                  [(('documents.py', 'markdown', sections), book)]),
        Generated(launcher, 'xmllint', 1.0,
                  ['xmllint', '--noout', '--xpath', query, *[catalogue] * 4],
                  ['xmllint', '--version'], recipe),
    ]


def repository_rows(launcher, folder, quick):
    """git on a repository of its own."""
    commits = scaled(quick, 2400)
    repository = folder / f'repository-{commits}.git'
    recipe = [(('repository.py', commits), repository)]
    git = ['git', '-C', repository]
    return [
        Generated(launcher, 'git repack, 2 threads', 1.5,
                  git + ['repack', '-adfq', '--threads=2'], ['git', '--version'], recipe),
        Generated(launcher, 'git log -p', 1.0, git + ['log', '-p', '--stat'],
                  ['git', '--version'], recipe),
    ]


def programs(folder, launcher, quick):
    """The rows of this file."""
    return (compiler_rows(launcher, folder, quick) + translator_rows(launcher, folder, quick) +
            source_rows(launcher, folder, quick) + solver_rows(launcher, folder, quick) +
            document_rows(launcher, folder, quick) + repository_rows(launcher, folder, quick))
