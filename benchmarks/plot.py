"""A plot of the ratios to git: a row a case and size, a mark a contender, logarithmic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from .bench import US, Figure, judged

SECTION = "command"
LABELS, WIDTH, ROW, HEAD, PAD = 300, 560, 22, 58, 20
"""Pixels: the labels at the left, the scale, a row, what is above the rows, the margin."""
COLOURS = ("#c1121f", "#1d3557", "#2a9d8f", "#e9a400", "#8e44ad")
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)


def svg(figures: Sequence[Figure]) -> str:
    """Return the plot of the command's figures as SVG."""
    found = [e for e in judged(figures) if e.section == SECTION and e.who != e.baseline and e.ratio]
    cases = list(dict.fromkeys(each.case for each in found))
    found.sort(key=lambda each: (cases.index(each.case), each.size))
    rows = list(dict.fromkeys(each.of_case for each in found))
    whos = sorted(dict.fromkeys(each.who for each in found), key=lambda who: who != US)
    colours = dict(zip(whos, COLOURS, strict=False))
    height = HEAD + ROW * len(rows) + PAD
    width = LABELS + WIDTH + 2 * PAD
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        "<style>text { font: 12px sans-serif }</style>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_scale(height),
        *_legend(colours),
    ]
    for number, row in enumerate(rows):
        y = HEAD + ROW * number + ROW // 2
        label = escape(f"{row[1]}, {row[2]:,}")
        lines.append(f'<text x="{LABELS}" y="{y + 4}" text-anchor="end">{label}</text>')
        # Ours last, so that no other covers it.
        marked = sorted((e for e in found if e.of_case == row), key=lambda e: e.who == US)
        lines += [_mark(each, y, colours[each.who]) for each in marked]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _x(ratio: float) -> float:
    low, high = math.log(TICKS[0]), math.log(TICKS[-1])
    share = (math.log(ratio) - low) / (high - low)
    return round(LABELS + PAD + WIDTH * min(1.0, max(0.0, share)), 1)


def _scale(height: int) -> Iterator[str]:
    for tick in TICKS:
        x, weight = _x(tick), 2 if tick == 1 else 1
        yield (
            f'<line x1="{x}" x2="{x}" y1="{HEAD}" y2="{height - PAD}" stroke="#ccc"'
            f' stroke-width="{weight}"/>'
        )
        yield f'<text x="{x}" y="{HEAD - 6}" text-anchor="middle" fill="#555">{tick:g}</text>'


def _legend(colours: dict[str, str]) -> Iterator[str]:
    yield f'<text x="{PAD}" y="20">times git, less is better</text>'
    for number, (who, colour) in enumerate(colours.items()):
        x = LABELS + PAD + number * 110
        yield f'<circle cx="{x}" cy="16" r="5" fill="{colour}"/>'
        yield f'<text x="{x + 10}" y="20">{escape(who)}</text>'


def _mark(figure: Figure, y: int, colour: str) -> str:
    assert figure.ratio is not None
    size = 6 if figure.who == US else 4
    name = escape(f"{figure.who}: {figure.ratio:.2f}")
    return (
        f'<circle cx="{_x(figure.ratio)}" cy="{y}" r="{size}" fill="{colour}">'
        f"<title>{name}</title></circle>"
    )
