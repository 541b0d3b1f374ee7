"""Text as a Python program handles it: tokens cut by expressions, counted in dictionaries, sorted,
rewritten, wrapped and put together again.

usage: text.py <paragraphs>
"""
import collections
import random
import re
import sys
import textwrap

TOKEN = re.compile(r'(?P<word>[a-z]+)|(?P<number>\d+(?:\.\d+)?)|(?P<mark>[.,;])')
PAIR = re.compile(r'\b([a-z]{2,4})([a-z]+)\b')


def paragraph(source, vocabulary):
    words = [source.choice(vocabulary) for _ in range(source.randrange(20, 120))]
    words[source.randrange(len(words))] = f'{source.randrange(10000)}.{source.randrange(100)},'
    return ' '.join(words) + '.'


def main():
    source = random.Random(2)
    vocabulary = [''.join(source.choice('etaoinshrdlu') for _ in range(source.randrange(2, 12)))
                  for _ in range(5000)]
    text = [paragraph(source, vocabulary) for _ in range(int(sys.argv[1]))]
    kinds = collections.Counter()
    places = collections.defaultdict(list)
    for number, part in enumerate(text):
        for match in TOKEN.finditer(part):
            kinds[match.lastgroup] += 1
            places[match.group()].append((number, match.start()))
    rare = sorted((len(found), token) for token, found in places.items())[:50]
    swapped = [PAIR.sub(lambda match: match.group(2) + match.group(1), part) for part in text]
    swapped.sort(key=lambda part: part.split()[::-1])
    lines = [line.upper() for part in swapped[::10] for line in textwrap.wrap(part, 72)]
    window = {}
    for number, part in enumerate(swapped):
        for word in part.split():
            window[word, number % 64] = part[:len(word) * 5]
        if number % 64 == 63:
            window = {key: value for key, value in window.items() if key[1] > 40}
    joined = '\n'.join(lines).replace(',', ' , ').split()
    print(sorted(kinds.items()), rare[0], rare[-1], len(lines), len(joined), len(window))


main()
