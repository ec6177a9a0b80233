"""What the check of a config's data found, and its table."""

import dataclasses

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ['CHECKS', 'DatasetReport', 'print_reports']

# Every check of the table, in its order: is a finding an error (exit code 1) or a note?
CHECKS = {
    'label files': 'error',
    'missing files': 'error',
    'missing neighbour frames': 'error',
    'unreadable files': 'error',
    'frames out of range': 'error',
    'bad file names': 'error',
    'paths outside the root': 'error',
    'size differs from labels': 'error',
    'boxes outside images': 'error',
    'bad annotations': 'error',
    'bad detections': 'error',
    'duplicate ids': 'error',
    'leakage': 'error',
    'boxes mostly outside': 'note',
    'persons without joints': 'note',
    'positions without label': 'note',
    'joints outside images': 'note',
    'repeated neighbour frames': 'note',
}
_EXAMPLES = 3


@dataclasses.dataclass
class DatasetReport:
    """Findings about one data set of a config.

    Attributes:
        split: Where the config names it: ``'train'``, ``'val'`` or ``'test'``.
        name: Its type and label file.
        counts: What it holds.
        findings: Name of a check -> one text a finding.
        contents: Digest of every labelled image's pixels -> its path.
        sequences: Paths of its videos.
    """

    split: str
    name: str
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    findings: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    contents: dict[str, str] = dataclasses.field(default_factory=dict)
    sequences: set[str] = dataclasses.field(default_factory=set)

    def add(self, check: str, text: str) -> None:
        """Note a finding.

        Args:
            check: A name of ``CHECKS``.
            text: What and where.
        """
        if check not in CHECKS:
            raise ValueError(f'unknown check {check!r}; known: {", ".join(CHECKS)}')
        self.findings.setdefault(check, []).append(text)

    @property
    def num_errors(self) -> int:
        """Number of findings that are errors."""
        return sum(len(found) for name, found in self.findings.items() if CHECKS[name] == 'error')


def print_reports(reports: list[DatasetReport], console: Console) -> None:
    """Print one table, a column a data set, then examples of every finding.

    Args:
        reports: The findings.
        console: Where to print.
    """
    table = Table(title='Data of the config')
    table.add_column('')
    for report in reports:
        table.add_column(f'{report.split}\n{escape(report.name)}', justify='right')
    for count in dict.fromkeys(name for report in reports for name in report.counts):
        table.add_row(count, *(str(report.counts.get(count, '-')) for report in reports))
    table.add_section()
    for check, level in CHECKS.items():
        cells = [_cell(len(report.findings.get(check, ())), level) for report in reports]
        table.add_row(check if level == 'error' else f'{check} ({level})', *cells)
    console.print(table)
    for report in reports:
        for check in CHECKS:
            _print_examples(report, check, console)


def _cell(count: int, level: str) -> str:
    if not count:
        return '[green]0[/]'
    return f'[red]{count}[/]' if level == 'error' else f'[yellow]{count}[/]'


def _print_examples(report: DatasetReport, check: str, console: Console) -> None:
    found = report.findings.get(check, [])
    if not found:
        return
    colour = 'red' if CHECKS[check] == 'error' else 'yellow'
    heading = f'{report.split}: {len(found)} x {check}'
    console.print(f'[{colour}]{escape(heading)}[/]')
    for text in found[:_EXAMPLES]:
        # The first line says what and where; layouts and remedies would repeat for every file, and
        # are shown where nothing else could be checked
        shown = text if check == 'label files' else text.splitlines()[0]
        console.print(f'  {escape(shown)}', soft_wrap=True, highlight=False)
    if len(found) > _EXAMPLES:
        console.print(f'  ... and {len(found) - _EXAMPLES} more')
