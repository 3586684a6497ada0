"""Cores on the mesh, so that spikes have short ways.

The eigenvectors of the traffic's second and third eigenvalues draw the cores as a map on which those that talk are near
each other (spectral placement: K. M. Hall, "An r-dimensional quadratic placement algorithm", Management Science 17,
1970). The map is cut in halves, along its longer side and again, until each core has a place on the mesh. Then cores
swap their places (simulated annealing).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from xbar.kernels.swap import Ties, Tries, swap
from xbar.rng import generator
from xbar.spiking.chip import SpikingChip
from xbar.spiking.program import Targets

Ints = NDArray[np.int64]
_ROUNDS = 30  # temperatures
_PER_CORE = 1500  # swaps that are tried per core
_WORK = 3e8  # ways that are looked at, at most
_WARM = 1.0  # of the first round, in what a core's ways get longer by if it moves away by one hop
_SMALL = 64  # cores up to which all eigenvectors are computed
_ANGLES = np.arange(4) * np.pi / 8


def place_cores(targets: Targets, chip: SpikingChip, seed: int) -> NDArray[np.int32]:
    """Places of a program's cores, int32 [core, 2]. The border between two chips is as long as the hops that take the
    energy of crossing it.
    """
    n_cores = len(targets.core)
    sends = targets.core >= 0
    core = np.repeat(np.arange(n_cores), sends.sum(1))
    ones = np.ones(len(core), np.int64)
    traffic = sparse.coo_array((ones, (core, targets.core[sends])), shape=(n_cores, n_cores)).tocsr()
    hops = chip.energy.chip_to_chip_bit_J * chip.packet_bits / chip.energy.hop_J if chip.energy.hop_J > 0 else 1.0
    mesh = (chip.mesh.cols, chip.mesh.rows)
    return place(traffic, chip.cols, chip.rows, seed, mesh=mesh, border=round(hops))


def place(
    traffic: sparse.csr_array,
    cols: int,
    rows: int,
    seed: int,
    *,
    mesh: tuple[int, int] | None = None,
    border: int = 0,
) -> NDArray[np.int32]:
    """Places of cores on cols x rows, int32 [core, 2] of x and y, with a small sum of traffic times hops.

    traffic: whole numbers [core, core], from and to. mesh: columns and rows of a chip, where there are several; a
    way from one to the next is `border` hops longer. Never worse than row by row.
    """
    n = traffic.shape[0]
    mesh_cols, mesh_rows = mesh or (cols, rows)
    x = np.arange(cols) + np.arange(cols) // mesh_cols * border
    y = np.arange(rows) + np.arange(rows) // mesh_rows * border
    ties = _both_ways(traffic)
    cells = _region(n, *((mesh_cols, mesh_rows) if n <= mesh_cols * mesh_rows else (cols, rows)))
    slot_of = cells[:, 1] * cols + cells[:, 0]
    found = [np.arange(n), slot_of, *(slot_of[own] for own in _maps(ties, cells))]
    pairs = sparse.triu(ties)
    best = min(found, key=lambda slot: _ways(pairs, x, y, slot))
    slot = _swapped(ties, x, y, best, seed)
    return np.stack([slot % cols, slot // cols], axis=1).astype(np.int32)


def _both_ways(traffic: sparse.csr_array) -> sparse.csr_array:
    """Traffic between two cores, whichever sends; none of a core with itself."""
    own = traffic.tocoo()
    other = own.row != own.col
    between = sparse.coo_array((own.data[other].astype(np.int64), (own.row[other], own.col[other])), shape=own.shape)
    both: sparse.csr_array = (between + between.T).tocsr()
    both.sort_indices()
    return both


def _ways(pairs: sparse.coo_array, x: Ints, y: Ints, slot: Ints) -> int:
    """Sum over pairs of cores of their traffic times their way."""
    total = 0
    for at in (x[slot % len(x)], y[slot // len(x)]):
        total += int((pairs.data * np.abs(at[pairs.row] - at[pairs.col])).sum())
    return total


def _region(n: int, cols: int, rows: int) -> Ints:
    """Cells of a rectangle of about n cells that is nearly a square, row by row, [n, 2]."""
    side = int(np.ceil(np.sqrt(n)))
    width = min(cols, max(side, -(-n // rows)))
    return np.stack([np.arange(n) % width, np.arange(n) // width], axis=1)


def _maps(ties: sparse.csr_array, cells: Ints) -> list[Ints]:
    """The number of each core's cell by the spectral map, turned by several angles."""
    part = sparse.csgraph.connected_components(ties, directed=False)[1]
    drawn = np.zeros((len(cells), 2))
    for members in np.split(np.argsort(part, kind="stable"), np.cumsum(np.bincount(part))[:-1]):
        drawn[members] = _spectral(ties[members][:, members])
    turns = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in _ANGLES]
    return [_halved(cells, np.round(drawn @ turn, 9), part) for turn in turns]


def _spectral(ties: sparse.csr_array) -> NDArray[np.float64]:
    """Coordinates [core, 2] of cores that hang together; of few cores their order."""
    n = ties.shape[0]
    if n < 4:
        return np.stack([np.arange(n)] * 2, axis=1) / max(n, 1)
    scale = 1 / np.sqrt(ties.sum(1))
    matrix = sparse.diags_array(scale) @ ties @ sparse.diags_array(scale)
    if n <= _SMALL:
        vectors = np.linalg.eigh(matrix.toarray())[1]
    else:
        try:
            vectors = sparse.linalg.eigsh(matrix, k=3, which="LA", v0=1 / scale, tol=1e-4, ncv=min(n, 40))[1]
        except sparse.linalg.ArpackNoConvergence as stopped:  # what has converged is a map as well
            vectors = stopped.eigenvectors
    if vectors.shape[1] < 3:
        return np.stack([np.arange(n)] * 2, axis=1) / n
    drawn: NDArray[np.float64] = vectors[:, -3:-1] * scale[:, None]
    return drawn / np.abs(drawn).max()


def _halved(cells: Ints, drawn: NDArray[np.float64], part: Ints) -> Ints:
    """The number of each core's cell. Cells are halved across their longer side; the cores of one half are whole parts
    while there are several, then those on that side of the map.
    """
    cell_of = np.zeros(len(cells), np.int64)
    rest = [(np.arange(len(cells)), np.arange(len(cells)))]
    while rest:
        own_cells, cores = rest.pop()
        if len(cores) < 2:
            cell_of[cores] = own_cells
            continue
        axis = int(np.ptp(cells[own_cells, 1]) > np.ptp(cells[own_cells, 0]))
        several = (part[cores] != part[cores[0]]).any()
        by = part[cores] if several else drawn[cores, axis]
        cores = cores[np.argsort(by, kind="stable")]
        own_cells = own_cells[np.lexsort((cells[own_cells, 1 - axis], cells[own_cells, axis]))]
        cuts = np.flatnonzero(np.diff(part[cores])) + 1 if several else np.array([len(cores) // 2])
        cut = int(cuts[np.abs(cuts - len(cores) / 2).argmin()])
        rest += [(own_cells[:cut], cores[:cut]), (own_cells[cut:], cores[cut:])]
    return cell_of


def _swapped(ties: sparse.csr_array, x: Ints, y: Ints, start: Ints, seed: int) -> Ints:
    """Slots after swaps, or `start` where that is better. Only cells near those in use are asked."""
    n = len(start)
    if ties.nnz == 0:
        return start
    rng = generator(seed, "placement")
    own = Ties(*(v.astype(np.int64) for v in (ties.indptr, ties.indices, ties.data)))
    warm = _WARM * own.weight.sum() / n
    n_tries = int(min(_PER_CORE * n, _WORK / (20 + 2 * ties.nnz / n))) // _ROUNDS + 1
    slot, change = start.copy(), 0
    for k in range(_ROUNDS):
        reach = 1 + 3 * (_ROUNDS - 1 - k) // _ROUNDS
        cold = k == _ROUNDS - 1
        tries = Tries(
            rng.integers(0, n, n_tries),
            rng.random(n_tries),
            rng.integers(-reach, reach + 1, n_tries),
            rng.integers(-reach, reach + 1, n_tries),
            np.zeros(n_tries) if cold else warm * 0.01 ** (k / _ROUNDS) * rng.standard_exponential(n_tries),
        )
        change += swap(own, x, y, slot, tries)
    return slot if change < 0 else start
