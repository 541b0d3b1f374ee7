"""The rows of the memory benchmark: which program, with what arguments, under what conditions."""
import dataclasses

MIB = 2**20
LIMIT = 256 * MIB           # of the option memory_limit
GROUP_LIMIT = 96 * MIB      # of the control group


class Size(int):
    """MiB or KiB of memory, or a number of things; --divide makes it smaller."""


class Idle(int):
    """Milliseconds without work; --divide makes it shorter."""


class Count(int):
    """How often something is done; --quick and --divide make it less."""


@dataclasses.dataclass(frozen=True)
class Row:
    """`repeats` is how often the row runs in a round, under peers but once with `own_repeats`.
    With `options` only builds of spanmalloc run. `group` is the limit in bytes of the control
    group it runs in."""
    name: str
    program: str
    arguments: tuple
    repeats: int = 1
    own_repeats: bool = False
    options: str = ''
    group: int = 0

    def repeats_under(self, allocator):
        """How often the row runs in a round; 0 where it does not concern the allocator."""
        if allocator.kind != 'own' and (self.options or self.own_repeats):
            return 0 if self.options else 1
        return self.repeats

    def words(self, quick, divide):
        """The arguments as text."""
        found = []
        for value in self.arguments:
            if isinstance(value, Count) and quick:
                value = Count(max(1, value // 3))
            if isinstance(value, (Size, Idle, Count)):
                value = max(1, value // divide)
            found.append(str(value))
        return found


def on_and_off(row):
    """A row and the same without the scavenger."""
    return [row, dataclasses.replace(row, name=f'{row.name}, scavenger=0', options='scavenger=0')]


FRAGMENTED, BLOCKED, IDLE = 'fragmented', 'blocked threads', 'idle server'
SAWTEETH = ['sawtooth without pause', 'sawtooth of 0.5 s', 'sawtooth of 2 s']
STEPS, LIMITED = 'steps of 25 to 179 MiB', 'steps, memory_limit of 256 MiB'
GROUP, GROUP_TRIMMED = 'group of 96 MiB', 'group of 96 MiB, malloc_trim'
TOUCH, REPLACE = 'first touch of 200 MB', 'random replace, 1M live'
GROW_LARGE, GROW_SMALL = 'realloc growth, large', 'realloc growth, small'
THREADS = 'short threads'

ROWS = [
    Row(FRAGMENTED, 'fragmented', (Size(400), 5, 10, Idle(12000))),
    Row(BLOCKED, 'blocked_threads', (Size(64), 3072, 4, Idle(12000))),
    Row(IDLE, 'fragmented', (Size(300), 1, 0, Idle(12000))),
    *on_and_off(Row(SAWTEETH[0], 'sawtooth', (Size(200), 0, Count(30)), repeats=4,
                    own_repeats=True)),
    *on_and_off(Row(SAWTEETH[1], 'sawtooth', (Size(200), Idle(500), Count(12)), repeats=3,
                    own_repeats=True)),
    *on_and_off(Row(SAWTEETH[2], 'sawtooth', (Size(200), Idle(2000), 6), repeats=2,
                    own_repeats=True)),
    Row(STEPS, 'stepping', (Size(25), Size(179), 20, Idle(300))),
    Row(LIMITED, 'stepping', (Size(25), Size(179), 20, Idle(300)),
        options=f'memory_limit={LIMIT}'),
    Row(GROUP, 'stepping', (Size(20), Size(70), 20, Idle(200)), group=GROUP_LIMIT),
    Row(GROUP_TRIMMED, 'stepping', (Size(20), Size(70), 20, Idle(200), 'trim'),
        group=GROUP_LIMIT),
    Row(TOUCH, 'first_touch', (Size(200),), repeats=3),
    Row(REPLACE, 'random_replace', (Size(1000000), Count(6000000)), repeats=3),
    Row(GROW_LARGE, 'realloc_growth', (Size(256), Count(10), 0), repeats=3),
    Row(GROW_SMALL, 'realloc_growth', (0, Count(35), Size(1000)), repeats=3),
    Row(THREADS, 'short_threads', (Size(100000),)),
]

# Arguments with which a program ends at once, to see which allocator it gets.
PROBES = {
    'fragmented': (1, 1, 10, 1),
    'blocked_threads': (2, 64, 1, 1),
    'sawtooth': (1, 0, 1),
    'stepping': (1, 2, 1, 1),
    'first_touch': (1,),
    'random_replace': (10, 10),
    'realloc_growth': (1, 1, 10),
    'short_threads': (8,),
}
