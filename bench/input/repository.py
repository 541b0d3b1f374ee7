"""Writes a git repository, the same at every call: files that grow and change from commit to
commit, through one `git fast-import`.

usage: repository.py <commits> <folder>
"""
import random
import subprocess
import sys


def data(text):
    return f'data {len(text)}\n{text}\n'


def main():
    commits, folder = int(sys.argv[1]), sys.argv[2]
    source = random.Random(7)
    files = {f'source{number % 12}/file{number}.c': [f'line {index} of {number}'
                                                     for index in range(200)]
             for number in range(120)}
    stream = []
    for commit in range(commits):
        stream.append('commit refs/heads/main\n'
                      f'committer A <a@example.org> {1600000000 + commit * 60} +0000\n' +
                      data(f'Change {commit}'))
        changed = sorted(files) if commit == 0 else source.sample(sorted(files), 6)
        for path in changed:
            lines = files[path]
            place = source.randrange(len(lines))
            lines[place:place + source.randrange(4)] = [
                f'value = {source.randrange(10**9)};' for _ in range(source.randrange(1, 8))]
            stream.append(f'M 100644 inline {path}\n' + data('\n'.join(lines)))
    subprocess.run(['git', 'init', '-q', '--bare', '-b', 'main', folder], check=True)
    subprocess.run(['git', '-C', folder, 'fast-import', '--quiet'], check=True,
                   input=''.join(stream), text=True)


main()
