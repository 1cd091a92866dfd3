"""What exact tests have counted is printed at the end of their run, whether they passed or not."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("markexpr") != "exact":
        return
    for report in terminalreporter.getreports("passed"):
        if isinstance(report, pytest.TestReport) and report.capstdout.strip():
            terminalreporter.write_line(f"{report.nodeid}\n  {report.capstdout.strip()}")
