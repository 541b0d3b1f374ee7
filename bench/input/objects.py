"""A Python program as they are: records parsed from JSON, indexed, joined, sorted, printed again.

usage: objects.py <records>
"""
import collections
import json
import random
import sys


class Person:
    def __init__(self, fields):
        self.name = fields['name']
        self.tags = fields['tags']
        self.visits = [(visit['page'], visit['seconds']) for visit in fields['visits']]

    def total(self):
        return sum(seconds for _, seconds in self.visits)


def record(source, number):
    return {'id': number,
            'name': f'person {number} {source.random():.6f}',
            'tags': [f'tag{source.randrange(500)}' for _ in range(source.randrange(1, 8))],
            'notes': 'x' * source.randrange(20, 1200),
            'visits': [{'page': f'/page/{source.randrange(10000)}',
                        'seconds': source.randrange(1, 600)}
                       for _ in range(source.randrange(1, 10))]}


def main():
    source = random.Random(1)
    lines = [json.dumps(record(source, number)) for number in range(int(sys.argv[1]))]
    people = {}
    by_tag = collections.defaultdict(set)
    for line in lines:
        fields = json.loads(line)
        people[fields['id']] = person = Person(fields)
        for tag in person.tags:
            by_tag[tag].add(fields['id'])
    pages = collections.Counter()
    for person in people.values():
        for page, seconds in person.visits:
            pages[page] += seconds
    ranking = sorted(people.values(), key=lambda person: (-person.total(), person.name))
    report = '\n'.join(f'{person.name}: {",".join(sorted(person.tags))}' for person in ranking)
    largest = max(by_tag, key=lambda tag: (len(by_tag[tag]), tag))
    print(len(people), len(report), largest, pages.most_common(1)[0][1])


main()
