"""Fewer vertices: a module as one box, N equal blocks as one, and the middle of a long graph as “… 412 more”.

The one idea: an interval of a topological order can be drawn as one vertex, and no cycle comes of it.
So every kind of summary is a list of blocks, each an interval of the ops in order, and `_contracted`
draws each as one vertex with the rest unchanged. `fitting` says which blocks. Read `layout.py` next.
"""

import copy
import itertools
import re
from collections import deque
from typing import NamedTuple

import numpy as np

from .vertices import Vertex

LONGEST_PERIOD = 24
"""Vertices in a block that is found to be repeated, at most."""
FEWEST_REPEATS = 3
_LEVEL = re.compile(r"\d+|[^.]*[^.\d][^.]*(?:\.\d+)?")


class Block(NamedTuple):
    """Vertices to be drawn as one: its title, the module around it, and N, if it is a block N times."""

    vertices: list[Vertex]
    title: str
    module: str | None
    repeats: int = 1


def fitting(vertices: list[Vertex], depth: int | None, max_nodes: int) -> list[Vertex]:
    """`vertices`, or a summary of at most about `max_nodes` of them, parents before children.

    Modules deeper than `depth` are one vertex each. Where there are too many for `depth=None`, the greatest
    depth that suffices is taken, then repeated blocks are drawn once, then the middle is left out.
    """
    if depth is not None:
        shown = _repeats_once(_by_module(vertices, depth))
    else:
        shown = vertices
        for level in range(max((len(levels(v.module)) for v in vertices), default=0), -2, -1):
            if len(shown) <= max_nodes:
                break
            shown = _repeats_once(_by_module(vertices, max(level, 1)) if level >= 0 else vertices)
    if len(shown) > max_nodes:
        shown = _without_middle(shown, max_nodes)
    for i, v in enumerate(shown):
        v.index = i
    return shown


def without_constants(vertices: list[Vertex]) -> list[Vertex]:
    """The vertices but for the constants, such as data and masks."""
    kept = [v for v in vertices if v.kind != "constant"]
    for i, v in enumerate(kept):
        edges = list(itertools.zip_longest(v.parents, v.contributions))
        v.index = i
        v.parents = [p for p, _ in edges if p.kind != "constant" or p.inline]
        v.contributions = [share for p, share in edges if p.kind != "constant" or p.inline]
    return kept


def levels(path: str | None) -> list[str]:
    """The steps of a module's path; a place in a list belongs to the list.

    >>> levels("layers.0.attention.heads.3.query"), levels("0.1"), levels(None)
    (['layers.0', 'attention', 'heads.3', 'query'], ['0', '1'], [])
    """
    return _LEVEL.findall(path or "")


# ---- modules --------------------------------------------------------------------------------------------


def _by_module(vertices, depth):
    """Each visit to a module that lies `depth` levels deep, as one vertex."""
    paths = {v: _home(v, depth) for v in vertices if v.kind == "op"}
    order = _in_few_visits(vertices, paths)
    blocks = []
    for path, visit in itertools.groupby((v for v in order if v.kind == "op"), paths.get):
        ops = list(visit)
        if path is not None and len(ops) > 1:
            outer = ".".join(levels(path)[:-1])
            blocks.append(Block(ops, path or "net", outer if path else None))
    return _contracted(order, blocks)


def _home(v, depth):
    """The module at `depth` that op v is in, or None if it is not that deep; at depth 0, the net, whose path is ""."""
    if v.module is None or len(levels(v.module)) < depth:
        return None
    return ".".join(levels(v.module)[:depth])


def _in_few_visits(vertices, paths):
    """The vertices in a topological order that stays in a module while it can, and enters one as late as it can."""
    waiting = {v: len({p for p in v.parents if p in paths}) for v in paths}
    users: dict[Vertex, list[Vertex]] = {v: [] for v in paths}
    for v in paths:
        for p in dict.fromkeys(p for p in v.parents if p in paths):
            users[p].append(v)
    ready: dict[str | None, deque[Vertex]] = {}
    for v in paths:
        if not waiting[v]:
            ready.setdefault(paths[v], deque()).append(v)
    order: dict[Vertex, None] = {}
    here = None
    while ready:
        here = here if here in ready else None if None in ready else next(iter(ready))
        v = ready[here].popleft()
        if not ready[here]:
            del ready[here]
        order |= dict.fromkeys([*(p for p in v.parents if not p.inline), v])
        for user in users[v]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.setdefault(paths[user], deque()).append(user)
    return list(order) or vertices


# ---- repeated blocks ------------------------------------------------------------------------------------


def _repeats_once(vertices):
    """Blocks that follow each other and are alike, three or more, as one."""
    ops = [v for v in vertices if v.kind == "op"]
    shapes = _shapes(ops)
    blocks, start = [], 0
    while start < len(ops):
        period, length = max(
            ((p, _run(shapes, start, p)) for p in range(1, LONGEST_PERIOD + 1)), key=lambda found: found[1]
        )
        if not length:
            start += 1
            continue
        skip = next((i for i in range(period) if ops[start + i].inside), 0)
        count = (length - skip) // period
        if count >= FEWEST_REPEATS:
            found = ops[start + skip : start + skip + count * period]
            blocks.append(Block(found, _range_of(found, period), found[0].module, count))
        start += max(length, 1)
    return _contracted(vertices, blocks)


def _shapes(ops):
    """What must be equal in two vertices that are drawn as one; operands are told by how far back they are."""
    place = {v: i for i, v in enumerate(ops)}

    def shape(v, i):
        parents = tuple(i - place[p] if p in place else (p.kind, p.shape, p.inline) for p in v.parents)
        return (v.op if not v.inside else _inner(v), v.shape, str(v.dtype), parents)

    return [shape(v, i) for i, v in enumerate(ops)]


def _inner(v):
    return tuple((w.kind, w.op if not w.inside else _inner(w), w.shape) for w in v.inside)


def _run(shapes, start, period):
    """The length of the run from `start` in which every block of `period` is like the one before; 0 if too short."""
    end = start + period
    while end < len(shapes) and shapes[end] == shapes[end - period]:
        end += 1
    length = end - start
    return length if length >= FEWEST_REPEATS * period else 0


def _range_of(ops, period):
    """A title for `period` vertices again and again: the first and the last module, or the ops."""
    modules = [v.op for v in ops if v.inside]
    if modules:
        return f"{modules[0]} … {modules[-1]}"
    return " ".join(v.op for v in ops[:period])


# ---- the middle -----------------------------------------------------------------------------------------


def _without_middle(vertices, max_nodes):
    """The first and the last `max_nodes` / 2 vertices, and what lies between as one."""
    half = max(1, (max_nodes - 1) // 2)
    left_out = vertices[half : len(vertices) - half]
    count = sum(map(stands_for, left_out))
    return _contracted(vertices, [Block(left_out, f"… {count:,} more", None)])


def stands_for(v: Vertex) -> int:
    """How many ops, parameters and constants one vertex stands for."""
    return sum(map(stands_for, v.inside)) or 1


# ---- contraction ----------------------------------------------------------------------------------------


def _contracted(vertices, blocks):
    """Copies of the vertices, each block as one, which takes in the parameters that it alone uses."""
    block_of = {v: i for i, block in enumerate(blocks) for v in block.vertices}
    users: dict[Vertex, set] = {v: set() for v in vertices}
    for v in vertices:
        for p in v.parents:
            if p in users:
                users[p].add(block_of.get(v, v))
    for v in vertices:
        if v.kind == "parameter" and len(users[v]) == 1 and isinstance(home := next(iter(users[v])), int):
            block_of.setdefault(v, home)
    members: list[list[Vertex]] = [[] for _ in blocks]
    for v in vertices:
        if v in block_of:
            members[block_of[v]].append(v)
    new: dict[Vertex, Vertex] = {}
    for v in vertices:
        i = block_of.get(v)
        if i is None:
            new[v] = copy.copy(v)
            pairs = itertools.zip_longest(v.parents, v.contributions)
            _join(new[v], [(new.get(p, p), share) for p, share in pairs])
        elif v is members[i][-1]:
            one = _one(blocks[i], members[i], [w for w in members[i] if users[w] != {i}])
            within = {*members[i]}
            edges = [e for w in members[i] for e in itertools.zip_longest(w.parents, w.contributions)]
            _join(one, [(new.get(p, p), share) for p, share in edges if p not in within and not p.inline])
            new |= dict.fromkeys(members[i], one)
    return list(dict.fromkeys(new.values()))


def _one(block, group, outputs):
    """The vertex that stands for a block, without operands; if it has one output, with what is known of that."""
    one = Vertex("op", block.title)
    one.inside, one.repeats, one.module = tuple(group), block.repeats, block.module
    one.observed = any(v.observed for v in group)
    if len(outputs) == 1:
        (out,) = outputs
        one.name, one.shape, one.dtype, one.value = out.name, out.shape, out.dtype, out.value
        one.cotangent, one.seen = out.cotangent, out.seen
    return one


def _join(v, edges):
    """Give v its operands and its contributions to them; edges that have become parallel are one."""
    joined: dict[object, tuple[Vertex, list]] = {}
    for i, (p, share) in enumerate(edges):
        one = v.inside or (p.inside and p.shape is None)
        joined.setdefault(p if one else i, (p, []))[1].append(share)
    v.parents = [p for p, _ in joined.values()]
    v.contributions = [_sum(shares) for _, shares in joined.values()]


def _sum(shares):
    """The sum of contributions to one array; None if there are none, or if they belong to several."""
    arrays = [share for share in shares if share is not None]
    if len({np.shape(a) if not isinstance(a, list) else None for a in arrays}) != 1 or isinstance(
        arrays[0], list
    ):
        return arrays[0] if len(arrays) == 1 else None
    return sum(arrays[1:], arrays[0])
