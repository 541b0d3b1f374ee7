"""What the picture is drawn with: elements of SVG, logarithmic axes, marks, colours for light and
dark. Lengths are in pixels of the picture."""
import math
from xml.sax.saxutils import escape, quoteattr

WIDTH, MARGIN = 960, 24

# The picture brings its own paper, so that it is readable wherever it stands; the colours differ
# in lightness too, and every allocator has a mark of its own shape.
STYLE = '''
  .paper { fill: #ffffff } .ink { fill: #1c2024 } .faint { fill: #60676e }
  .grid { stroke: #d9dde1 } .one { stroke: #60676e } .band { fill: #f3f5f7 }
  .own { fill: #c2410c; stroke: #c2410c } .a0 { fill: #2563a8; stroke: #2563a8 }
  .a1 { fill: #0f8a5f; stroke: #0f8a5f } .a2 { fill: #8a4fb0; stroke: #8a4fb0 }
  .a3 { fill: #7d7d16; stroke: #7d7d16 } .a4 { fill: #15808c; stroke: #15808c }
  .base { fill: #8b929a; stroke: #8b929a }
  text { font: 12px system-ui, sans-serif } .title { font-size: 15px; font-weight: 600 }
  .small { font-size: 11px } .bold { font-weight: 600 } line, polyline { stroke-width: 1 }
  polyline { fill: none !important; stroke-width: 1.3 } polyline.own { stroke-width: 2.5 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #14181c } .ink { fill: #e6e9ec } .faint { fill: #9aa3ab }
    .grid { stroke: #333a41 } .one { stroke: #9aa3ab } .band { fill: #1b2026 }
    .own { fill: #ff8a4c; stroke: #ff8a4c } .a0 { fill: #6aa9f0; stroke: #6aa9f0 }
    .a1 { fill: #3ecf98; stroke: #3ecf98 } .a2 { fill: #c792ea; stroke: #c792ea }
    .a3 { fill: #cfcf52; stroke: #cfcf52 } .a4 { fill: #4fcbd8; stroke: #4fcbd8 }
    .base { fill: #7d868f; stroke: #7d868f }
  }
'''
SHAPES = ['square', 'triangle', 'diamond', 'right']


def element(tag, content=None, **attributes):
    """An element; '_' in the names of attributes stands for '-', `kind` for class. Text is
    escaped, a list is taken as elements."""
    words = [tag]
    for name, value in attributes.items():
        name = 'class' if name == 'kind' else name.replace('_', '-')
        value = f'{value:.1f}' if isinstance(value, float) else str(value)
        words.append(f'{name}={quoteattr(value)}')
    if content is None:
        return f'<{" ".join(words)}/>'
    inner = '\n'.join(content) if isinstance(content, list) else escape(content)
    return f'<{" ".join(words)}>{inner}</{tag}>'


def text(x, y, content, kind='ink', anchor='start'):
    return element('text', content, x=float(x), y=float(y), kind=kind, text_anchor=anchor)


def line(x1, y1, x2, y2, kind='grid', **attributes):
    return element('line', x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), kind=kind,
                   **attributes)


class LogAxis:
    """Maps values to pixels, logarithmically; values outside are drawn at the ends."""

    def __init__(self, low, high, start, end):
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value):
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + min(max(share, 0), 1) * (self.end - self.start)

    def holds(self, value):
        return self.low <= value <= self.high

    def ticks(self, steps=(1, 2, 5)):
        """Round numbers within the axis: steps times powers of ten."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        return [step * 10.0 ** power for power in powers for step in steps
                if self.low <= step * 10.0 ** power <= self.high * 1.0001]


class Axis:
    """Maps values to pixels, evenly."""

    def __init__(self, low, high, start, end):
        self.low, self.high, self.start, self.end = low, max(high, low + 1e-9), start, end

    def __call__(self, value):
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self):
        """Three to eight round numbers within the axis."""
        power = 10.0 ** math.floor(math.log10(self.high - self.low))
        step = next(step for step in (power / 5, power / 2, power, power * 2)
                    if (self.high - self.low) / step < 8)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]


def mark(shape, x, y, size, kind):
    """A mark of about `size` pixels across around a point."""
    half = size / 2
    if shape == 'circle':
        return element('circle', cx=float(x), cy=float(y), r=half, kind=kind, stroke='none')
    outlines = {
        'square': [(-half, -half), (half, -half), (half, half), (-half, half)],
        'triangle': [(0, -half * 1.2), (half * 1.1, half * 0.9), (-half * 1.1, half * 0.9)],
        'diamond': [(0, -half * 1.3), (half * 1.3, 0), (0, half * 1.3), (-half * 1.3, 0)],
        'right': [(-half, -half), (half, 0), (-half, half)],
    }
    if shape in outlines:
        points = ' '.join(f'{x + dx:.1f},{y + dy:.1f}' for dx, dy in outlines[shape])
        return element('polygon', points=points, kind=kind)
    path = (f'M{x - half:.1f} {y - half:.1f}L{x + half:.1f} {y + half:.1f}'
            f'M{x - half:.1f} {y + half:.1f}L{x + half:.1f} {y - half:.1f}')
    return element('path', d=path, kind=kind, stroke_width=1.8)


def short(value):
    """A number for an axis: 0.5, 20, 1024, 10k, 1M."""
    for unit, factor in (('M', 1e6), ('k', 1e3)):
        if value >= factor and value % factor == 0:
            return f'{value / factor:g}{unit}'
    return f'{value:g}'


def document(width, height, elements, title):
    return '\n'.join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        element('title', title), f'<style>{STYLE}</style>',
        element('rect', width=width, height=height, kind='paper', rx=6), *elements, '</svg>', ''])
