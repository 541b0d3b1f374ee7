"""The scenario programs as rows of the comparison."""
import workloads

# What a quick run divides the work by.
QUICK = 5


class Work(int):
    """The argument that stands for the amount of work: a quick run gives less."""


# (name, program, arguments, seconds of processor time under glibc)
ROWS = [
    ('server, 4 threads', 'server', (4, Work(80000)), 1.4),
    ('larson, 4 threads', 'larson', (4, 10000, Work(250000), 10), 0.9),
    ('oversubscribed, 16 threads', 'oversubscribed', (16, Work(1000000)), 0.9),
    ('oversubscribed, 64 threads', 'oversubscribed', (64, Work(1000000)), 1.0),
    ('thread churn', 'thread_churn', (Work(7000), 1000), 1.0),
    ('producer/consumer 64 B', 'producer_consumer', (1, Work(10000000), 64), 1.1),
    ('producer/consumer 1 KiB', 'producer_consumer', (1, Work(1500000), 1024), 1.2),
    ('producer/consumer 16 KiB', 'producer_consumer', (1, Work(400000), 16384), 1.2),
    ('producer/consumer mixed, 2 pairs', 'producer_consumer', (2, Work(5000000), 0), 1.0),
    ('cross-thread free, 2 threads', 'cross_free', (Work(3000000), 512), 1.0),
    ('pipeline, 4 stages', 'pipeline', (Work(1000000),), 1.0),
    ('key-value cache', 'kv_cache', (Work(3000000), 48), 1.2),
    ('parser trees', 'parser_trees', (Work(120), 1024), 1.0),
    ('strings, vectors, maps', 'growth', (Work(1500),), 1.0),
    ('long-lived mixture', 'lifetimes', (Work(25000000),), 1.0),
    ('phases of sizes', 'fragmentation', (Work(60), 10), 0.8),
    ('realloc growth, small', 'realloc_growth', (0, Work(35), 1000), 1.2),
    ('realloc growth, large', 'realloc_growth', (256, Work(10), 0), 1.4),
    ('medium blocks, 8-128 KiB', 'large_blocks', (8, 128, 1000, Work(2000000), 100), 1.0),
    ('large blocks, 40 KiB-1 MiB', 'large_blocks', (40, 1024, 200, Work(200000), 100), 1.0),
    ('huge buffers, 1-32 MiB', 'large_blocks', (1024, 32768, 16, Work(8000), 10), 1.2),
    ('random replace, 1k live', 'random_replace', (1000, Work(40000000)), 0.8),
    ('random replace, 100k live', 'random_replace', (100000, Work(10000000)), 1.1),
    ('random replace, 1M live', 'random_replace', (1000000, Work(5000000)), 1.4),
    ('burst lifo 64 B', 'burst', ('lifo', 64, 1000, Work(60000)), 0.9),
    ('burst fifo 64 B', 'burst', ('fifo', 64, 1000, Work(60000)), 0.9),
    ('calloc, mixed', 'calloc_mix', (2000, Work(5000000)), 1.0),
    ('aligned_alloc, mixed', 'aligned', (10000, Work(4000000)), 1.1),
    ('tail latency, 1M live', 'tail_latency', (1000000, Work(2000000)), 1.6),
]

# Programs that print what depends on timing.
VARYING = {'server', 'tail_latency'}

# Arguments with which a program ends at once.
PROBES = {
    'server': (1, 10),
    'larson': (1, 10, 10, 1),
    'burst': ('lifo', 64, 10, 1),
    'kv_cache': (10, 1),
    'parser_trees': (1, 1),
    'fragmentation': (1, 1),
    'realloc_growth': (1, 1, 10),
    'large_blocks': (40, 1024, 10, 10, 10),
    'thread_churn': (8, 10),
    'aligned': (10, 10),
    'calloc_mix': (10, 10),
    'random_replace': (10, 10),
    'producer_consumer': (1, 10, 64),
    'oversubscribed': (2, 10),
    'tail_latency': (10, 10),
}


def tail_values(output):
    """{'malloc p50 ns': 21.0, ...} from what tail_latency prints."""
    pairs = (line.rsplit(' ', 1) for line in output.splitlines())
    return {name: float(value) for name, value in pairs}


def words(arguments, quick):
    """Arguments as given to the program."""
    return [str(value // QUICK if quick and isinstance(value, Work) else value)
            for value in arguments]


def scenarios(build, folder, launcher, quick):  # pylint: disable=unused-argument
    """Every scenario as a row; a quick run takes a fifth of the time."""
    programs = []
    for name, program, arguments, seconds in ROWS:
        path = str(build / 'bench' / f'bench.{program}')
        programs.append(workloads.Program(
            launcher, name, seconds / QUICK if quick else seconds,
            [path, *words(arguments, quick)], [path, *words(PROBES.get(program, (10,)), False)],
            output_varies=program in VARYING,
            figures=tail_values if program == 'tail_latency' else None))
    return programs
