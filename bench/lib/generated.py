"""Programs that read what a script of bench/input writes beforehand."""
import pathlib
import subprocess

import workloads

PYTHON = '/usr/bin/python3'
INPUT = workloads.INPUT


class Generated(workloads.Program):
    """A program whose inputs are made by `recipes`: pairs of the words after `python3` (a script
    of bench/input first) and the file that these write."""

    def __init__(self, launcher, name, seconds, command, probe, recipes, **others):
        super().__init__(launcher, name, seconds, command, probe, **others)
        self.recipes = recipes

    def prepare(self):
        for (script, *words), target in self.recipes:
            if not pathlib.Path(target).exists():
                subprocess.run([PYTHON, INPUT / script, *words, target], check=True,
                               stdin=subprocess.DEVNULL)


def scaled(quick, full):
    """The size of an input as a word of a command."""
    return str(max(1, full // 4) if quick else full)
