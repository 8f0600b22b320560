"""Writes the pictures of docs/operations; `--check` fails if a committed one differs.

Python 3.11 without packages. A browser shows each picture in the light or the dark colours of its own setting. The masks are
those that the server draws: `draws` computes them as docs/numerics.md says.
"""

import sys
from math import ceil, hypot
from pathlib import Path

FOLDER = Path(__file__).parent
STYLE = """\
<style>
  svg { --paper: #ffffff; --ink: #1f2328; --line: #8c959f; --rest: #f3f5f7; --top: #7fa8f8; --left: #3d72e0; --right: #1d4ec2;
    --warm: #c2410c; --on: #ffffff }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #e6edf3; --line: #6e7681; --rest: #1b222b; --top: #a5c4ff; --left: #5b8ff5; --right: #3b6fd8;
      --warm: #ff9b5e; --on: #0d1117 }
  }
  .paper { fill: var(--paper) } .rest { fill: var(--rest) } .top { fill: var(--top) } .left { fill: var(--left) }
  .right { fill: var(--right) } .edge { stroke: var(--line); stroke-width: 1 } .line { stroke: var(--line); fill: none }
  .before { stroke: var(--line); stroke-width: 2; fill: none } .after { stroke: var(--warm); stroke-width: 3; fill: none }
  .warm { fill: var(--warm) } .grey { fill: var(--line) }
  text { fill: var(--ink); font: 12px system-ui, sans-serif } .title { font-weight: bold } .on { fill: var(--on) }
</style>
"""


def picture(width: int, height: int, title: str, parts: list[str]) -> str:
    """A whole file."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">\n'
    paper = f'<rect class="paper" width="{width}" height="{height}" rx="6"/>\n'
    return head + f"<title>{title}</title>\n" + STYLE + paper + "\n".join(parts) + "\n</svg>\n"


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> str:
    """A line of text."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{kind}">{words}</text>'


def arrow(x0: float, y0: float, x1: float, y1: float, kind: str, head: str) -> str:
    """An arrow; `head` is the class of its point."""
    length = hypot(x1 - x0, y1 - y0)
    u, v = (x1 - x0) / length, (y1 - y0) / length
    back_x, back_y = x1 - 9 * u, y1 - 9 * v
    point = f"{x1:.1f},{y1:.1f} {back_x - 4 * v:.1f},{back_y + 4 * u:.1f} {back_x + 4 * v:.1f},{back_y - 4 * u:.1f}"
    line = f'<line class="{kind}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{back_x:.1f}" y2="{back_y:.1f}"/>'
    return line + f'<polygon class="{head}" points="{point}"/>'


# The cube of Wu and He, Group Normalization (2018), figure 2: samples to the right, channels to the left, places upwards.
SIDE = 4
NORMALIZATIONS = {
    "batch": ("BATCH", "one channel of all samples", lambda n, c, place: c == 0),
    "layer": ("LAYER", "one sample", lambda n, c, place: n == 0),
    "rms": ("RMS", "one sample, without its mean", lambda n, c, place: n == 0),
    "instance": ("INSTANCE", "one channel of one sample", lambda n, c, place: n == 0 and c == 0),
    "group": ("GROUP, groups = 2", "two of four channels of one sample", lambda n, c, place: n == 0 and c < 2),
    "l2": ("L2", "one place of one sample", lambda n, c, place: n == 0 and place == SIDE - 1),
}


def cube(name: str) -> str:
    """The cube with one pooled set in colour. Its front edge is sample 0 and channel 0."""
    title, words, pooled = NORMALIZATIONS[name]

    def at(n: int, c: int, place: int) -> str:
        return f"{110 + (n - c) * 20:g},{182 - (n + c) * 10 - place * 22:g}"

    def face(kind: str, inside: bool, *corners: tuple[int, int, int]) -> str:
        return f'<polygon class="edge {kind if inside else "rest"}" points="{" ".join(at(*corner) for corner in corners)}"/>'

    parts = []
    for i in range(SIDE):
        for k in range(SIDE):
            j, m, h = i + 1, k + 1, SIDE
            parts.append(face("left", pooled(0, i, k), (0, i, k), (0, j, k), (0, j, m), (0, i, m)))
            parts.append(face("right", pooled(i, 0, k), (i, 0, k), (j, 0, k), (j, 0, m), (i, 0, m)))
            parts.append(face("top", pooled(i, k, h - 1), (i, k, h), (j, k, h), (j, m, h), (i, m, h)))
    parts += [text(57, 184, "C"), text(163, 184, "N")]
    parts.append('<text x="20" y="122" transform="rotate(-90 20 122)">H, W</text>')
    parts += [text(110, 206, title, "title"), text(110, 222, words)]
    return picture(220, 232, f"{title}: {words} is pooled together", parts)


def draws(seed: int, count: int) -> list[int]:
    """The first 32-bit words of NumPy's np.random.Philox(key=seed)."""
    word, words = 2**64 - 1, []
    for block in range(ceil(count / 8)):
        c, key = [block + 1, 0, 0, 0], [seed, 0]
        for _ in range(10):
            first, second = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
            c = [second >> 64 ^ c[1] ^ key[0], second & word, first >> 64 ^ c[3] ^ key[1], first & word]
            key = [key[0] + 0x9E3779B97F4A7C15 & word, key[1] + 0xBB67AE8584CAA73B & word]
        words += [half for whole in c for half in (whole & 2**32 - 1, whole >> 32)]
    return words[:count]


def masks() -> str:
    """The masks of the pages' example, by element, in two slices, and by channel."""
    keep = [draw >= ceil(0.3 * 2**32) for draw in draws(42, 16)]

    def square(x: float, y: float, size: float, kept: bool, label: str = "") -> str:
        box = f'<rect class="edge {"left" if kept else "rest"}" x="{x:g}" y="{y:g}" width="{size:g}" height="{size:g}"/>'
        return box + (text(x + size / 2, y + size / 2 + 4, label, "on" if kept else "") if label else "")

    parts = [text(12, 22, "ELEMENT: a draw for each element of (2, 8)", "title", "start")]
    parts += [square(12 + i % 8 * 28, 34 + i // 8 * 28, 28, keep[i], str(i)) for i in range(16)]
    parts.append(text(12, 114, "The same in two calls, (1, 8) each", "title", "start"))
    for half in range(2):
        parts.append(text(244, 144 + half * 36, f"offset = {8 * half}", anchor="start"))
        parts += [square(12 + i * 28, 126 + half * 36, 28, keep[8 * half + i], str(8 * half + i)) for i in range(8)]
    parts.append(text(330, 22, "CHANNEL: a draw for each (n, c) of (2, 8, 3, 3)", "title", "start"))
    for i in range(16):
        x, y = 330 + i % 8 * 36, 34 + i // 8 * 50
        parts += [square(x + 10 * a, y + 10 * b, 10, keep[i]) for b in range(3) for a in range(3)]
        parts.append(text(x + 15, y + 43, str(i)))
    parts += [square(330, 160, 14, True), text(352, 172, "kept: x / (1 - p)", anchor="start")]
    parts += [square(470, 160, 14, False), text(492, 172, "dropped: +0.0", anchor="start")]
    return picture(660, 204, "The mask of seed 42 and p = 0.3, by element, in slices and by channel", parts)


def clipping() -> str:
    """The gradient (3, 4) by norm and by value, and two tensors by their own norms."""
    unit, bound, parts = 32, 2.5, []

    def panel(left: float, title: str, words: str, limit: str, arrows: list[tuple[float, float, float, float]]) -> None:
        x0, y0 = left + 60, 190
        parts.append(text(left + 100, 22, title, "title"))
        parts.append(f'<path class="line" d="M{left + 20} {y0}H{left + 190}M{x0} {y0 + 30}V36"/>')
        if limit == "circle":
            parts.append(f'<path class="line" stroke-dasharray="4 3" d="M{x0 + bound * unit} {y0}A{bound * unit} {bound * unit} 0 0 0 '
                         f'{x0} {y0 - bound * unit}"/>')
        else:
            parts.append(f'<path class="line" stroke-dasharray="4 3" d="M{x0 + bound * unit} {y0}V{y0 - bound * unit}H{x0}"/>')
        for x, y, to_x, to_y in arrows:
            parts.append(arrow(x0, y0, x0 + x * unit, y0 - y * unit, "before", "grey"))
            parts.append(text(x0 + x * unit + 4, y0 - y * unit - 4, f"({x:g}, {y:g})", anchor="start"))
            parts.append(arrow(x0, y0, x0 + to_x * unit, y0 - to_y * unit, "after", "warm"))
        parts.append(text(left + 100, 240, words))

    panel(0, "NORM, threshold 2.5", "(1.5, 2): the same direction", "circle", [(3, 4, 1.5, 2)])
    panel(220, "VALUE, threshold 2.5", "(2.5, 2.5): another direction", "square", [(3, 4, 2.5, 2.5)])
    panel(440, "NORM_PER_TENSOR, 2.5", "each tensor by its own norm", "circle", [(3, 4, 1.5, 2), (2, 1, 2, 1)])
    return picture(660, 256, "Gradients before (grey) and after clipping by norm, by value and by each tensor's norm", parts)


def merging() -> str:
    """Two machines measure, merge and clip."""
    parts = []

    def box(x: float, y: float, width: float, *lines: str) -> None:
        parts.append(f'<rect class="edge rest" x="{x}" y="{y}" width="{width}" height="{16 + 16 * len(lines)}" rx="5"/>')
        parts.extend(text(x + width / 2, y + 20 + 16 * i, line, "title" if i == 0 else "") for i, line in enumerate(lines))

    for y, name, value, clipped in ((16, "machine 1", 3, 0.6), (104, "machine 2", 4, 0.8)):
        box(12, y, 120, name, f"gradient [{value}]")
        parts.append(text(176, y + 18, "measure"))
        parts.append(arrow(134, y + 24, 218, y + 24, "before", "grey"))
        box(220, y, 120, "NormPartial", f"sum {value}² = {value * value}")
        parts.append(arrow(342, y + 24, 408, 76 if y == 16 else 92, "before", "grey"))
        parts.append(arrow(512, 76 if y == 16 else 92, 578, y + 24, "before", "grey"))
        box(580, y, 140, f"{name} clips", f"[{value}] to ≈ [{clipped}]")
    box(410, 52, 100, "merge", "9 + 16 = 25", "norm √25 = 5")
    return picture(732, 168, "Two machines measure their gradients, merge the partials, and clip by the norm of all", parts)


def all_pictures() -> dict[str, str]:
    """The files by name."""
    cubes = {f"normalize-{name}.svg": cube(name) for name in NORMALIZATIONS}
    return cubes | {"dropout.svg": masks(), "clip_gradients.svg": clipping(), "merge.svg": merging()}


def main() -> int:
    """Write the files, or compare them."""
    stale = 0
    for name, content in all_pictures().items():
        path = FOLDER / name
        if sys.argv[1:] != ["--check"]:
            path.write_text(content, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != content:
            print(f"{name} is stale: run docs/operations/pictures.py", file=sys.stderr)
            stale += 1
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
