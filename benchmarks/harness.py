"""What every benchmark shares: the machine's description, interleaved timing, result files."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

# As tools/prelude.py has it, which says why; read when NumPy is loaded.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

import torch

__all__ = ['RESULTS', 'current_commit', 'describe_machine', 'time_interleaved', 'write_result']

RESULTS = pathlib.Path(__file__).parent / 'results'
# A benchmark measures the checkout that it stands in, whatever is installed.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'projects'))


def describe_machine() -> dict:
    """Name what a time depends on: processor, cores, threads, library versions."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path('/proc/cpuinfo')
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith('model name')]
        cpu = names[0].split(':', 1)[1].strip() if names else cpu
    return {
        'cpu': cpu,
        'cores': os.cpu_count(),
        'threads': torch.get_num_threads(),
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        'torch': torch.__version__,
        'python': platform.python_version(),
    }


def current_commit() -> str:
    """Name the state of the code: the commit, marked where files differ from it; else empty."""
    git = ['git', '-C', str(pathlib.Path(__file__).resolve().parent)]
    try:
        commit = subprocess.run([*git, 'rev-parse', '--short=10', 'HEAD'], capture_output=True)
        changes = subprocess.run([*git, 'status', '--porcelain', '-uno'], capture_output=True)
    except FileNotFoundError:  # no git on this machine
        return ''
    name = commit.stdout.decode().strip()
    return f'{name} with changes' if name and changes.stdout.strip() else name


def time_interleaved(
    systems: dict[str, Callable[[], object]],
    rounds: int,
    warmup: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, dict[str, float]]:
    """Time several callables turn by turn, so that a change of the machine's load meets all alike.

    Args:
        systems: Name to callable; on a GPU the callable itself must synchronise.
        rounds: How many times each is timed.
        warmup: Untimed calls of each before the first round.
        clock: Seconds; ``time.process_time`` counts this process alone where others run too, and
            is right for one thread.

    Returns:
        Name to ``median_ms``, ``q1_ms``, ``q3_ms`` (quartiles) and ``min_ms`` over the rounds.
    """
    if rounds < 2:
        raise ValueError(f'rounds={rounds}: quartiles need at least 2')
    times = {name: [] for name in systems}
    for run in systems.values():
        for _ in range(warmup):
            run()
    for _ in range(rounds):
        for name, run in systems.items():
            start = clock()
            run()
            times[name].append(1e3 * (clock() - start))
    return {name: _summarise(values) for name, values in times.items()}


def _summarise(values: list[float]) -> dict[str, float]:
    q1, median, q3 = statistics.quantiles(values, n=4, method='inclusive')
    return {
        'median_ms': round(median, 2),
        'q1_ms': round(q1, 2),
        'q3_ms': round(q3, 2),
        'min_ms': round(min(values), 2),
    }


def write_result(name: str, result: dict, command: str) -> pathlib.Path:
    """Write one benchmark's numbers, with the command and the machine that made them.

    Args:
        name: File name without its ending, under ``benchmarks/results``.
        result: The numbers.
        command: The command line that makes them again.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f'{name}.json'
    content = {'command': command, 'machine': describe_machine(), **result}
    partial = path.with_suffix('.json.part')
    partial.write_text(json.dumps(content, indent=1) + '\n')
    partial.replace(path)
    return path
