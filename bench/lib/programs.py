"""The real programs of the comparison, on inputs that the scripts of bench/input make."""
import programs_interpreters
import programs_tools

PACKAGES = programs_interpreters.PACKAGES + programs_tools.PACKAGES


def programs(build, folder, launcher, quick):
    """One workload for each row; what they read and write lies in `folder`. `quick` takes a third
    of the work or less. None of them is from the build tree."""
    del build
    rows = (programs_interpreters.programs(folder, launcher, quick) +
            programs_tools.programs(folder, launcher, quick))
    for row in rows:
        row.seconds /= 4 if quick else 1
    return rows
