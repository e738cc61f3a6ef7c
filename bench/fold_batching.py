"""All folds of STSTNet in one run against one fold after the other, on random data of the composite's size.

    python bench/fold_batching.py [--epochs 6] [--repeats 3] [--threads 2] [--plain-folds 8] [--whole] [--vmap]

442 images of 28x28x3 and 68 folds that leave one subject out, with subjects as large as those of SMIC (164 clips of 16
people), CASME II (145 of 24) and SAMM (133 of 28). Both ways train the same networks on the same batches; the ratio
is that of the medians of runs that take turns. ``--plain-folds`` trains fewer of them one by one and scales the time
up. ``--whole`` also times the whole protocol with the default options,
``--vmap`` a step of torch's own batching over folds.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from typing import Any

import numpy as np

from equime.baselines.models.ststnet import StstNet
from equime.seeding import stream
from equime.torch_env import torch

CORPORA = {"smic": (164, 16), "casme2": (145, 24), "samm": (133, 28)}
"""Clips and subjects."""


def composite(seed: int) -> tuple[Any, Any, list[Any]]:
    """X (442, 28, 28, 3), y (442) and the rows of 68 folds; subjects of very different size, as in the corpora."""
    random = stream(seed, "bench fold batching")
    people: list[Any] = []
    for n_clips, n_people in CORPORA.values():
        share = random.dirichlet(np.full(n_people, 1.5))
        sizes = 1 + random.multinomial(n_clips - n_people, share)
        people.append(np.repeat(np.arange(n_people), sizes) + 100 * len(people))
    who = np.concatenate(people)
    x = random.random((len(who), 28, 28, 3), np.float32)
    y = random.integers(0, 3, len(who))
    return x, y, [np.flatnonzero(who != one) for one in np.unique(who)]


def timed(model: StstNet, data: tuple[Any, Any, list[Any]], epochs: int) -> tuple[float, float, list[Any]]:
    """Seconds, seconds of CPU, and what was trained."""
    start, cpu = time.perf_counter(), time.process_time()
    fitted = model.fit(*data, options={"epochs": epochs})
    return time.perf_counter() - start, time.process_time() - cpu, fitted


def vmapped(data: tuple[Any, Any, list[Any]], n_folds: int = 8, batch: int = 256) -> tuple[float, float]:
    """Seconds of a step per fold (forward and backward): with torch.func.vmap over folds, and alone."""
    func, functional = torch().func, torch().nn.functional
    x = torch().from_numpy(np.moveaxis(data[0][:batch], -1, 1).copy())
    y = torch().from_numpy(data[1][:batch])
    net = StstNet().build(3, {}).eval()  # without dropout and statistics of the batch: less work for both
    nets = [copy.deepcopy(net) for _ in range(n_folds)]
    parameters, buffers = func.stack_module_state(nets)

    def loss(p: Any, b: Any) -> Any:
        return functional.cross_entropy(func.functional_call(nets[0], (p, b), (x,)), y)

    together = func.vmap(func.grad(loss))
    both = []
    for step, per in (
        (lambda: together(parameters, buffers), n_folds),
        (lambda: functional.cross_entropy(nets[0](x), y).backward(), 1),
    ):
        step()
        times = []
        for _ in range(5):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        both.append(statistics.median(times) / per)
    return both[0], both[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plain-folds", type=int, default=8)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--vmap", action="store_true")
    args = parser.parse_args()
    torch().set_num_threads(args.threads)
    data = composite(0)
    print(f"{len(data[0])} images, {len(data[2])} folds, {args.threads} threads, {args.epochs} epochs")
    timed(StstNet(), data, 1)  # compiles
    walls: dict[bool, list[float]] = {True: [], False: []}
    cpus: dict[bool, list[float]] = {True: [], False: []}
    fitted: dict[bool, list[Any]] = {}
    for _ in range(args.repeats):
        for together in (True, False):
            folds = data[2] if together else data[2][: args.plain_folds]
            share = len(folds) / len(data[2])
            wall, cpu, fitted[together] = timed(StstNet(together=together), (*data[:2], folds), args.epochs)
            walls[together].append(wall / share)
            cpus[together].append(cpu / share)
    for together, name in ((True, "together"), (False, "one after the other")):
        wall, cpu = statistics.median(walls[together]), statistics.median(cpus[together])
        print(f"{name:20s} {wall:7.2f} s  ({cpu:.2f} s of CPU), {wall / args.epochs:.3f} s per epoch")
    for name, times in (("wall clock", walls), ("CPU", cpus)):
        print(f"ratio ({name}): {statistics.median(times[False]) / statistics.median(times[True]):.1f}")
    pairs = zip(fitted[True], fitted[False], strict=False)
    worst = max(np.abs(a.probabilities(data[0]) - b.probabilities(data[0])).max() for a, b in pairs)
    print(f"largest difference of a probability: {worst:.2g}")
    if args.vmap:
        batched, alone = vmapped(data)
        print(f"torch.func.vmap: {1e3 * batched:.1f} ms per fold and step of 256, alone {1e3 * alone:.1f} ms")
    if args.whole:
        wall, _, _ = timed(StstNet(), data, int(StstNet.about.options["epochs"]))
        print(f"the whole protocol, {StstNet.about.options['epochs']} epochs: {wall:.0f} s")


if __name__ == "__main__":
    main()
