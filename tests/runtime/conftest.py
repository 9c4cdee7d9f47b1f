from tests.support.survival import report_survival


def pytest_terminal_summary(terminalreporter):
    for line in report_survival(terminalreporter.stats.get("passed", [])):
        terminalreporter.write_line(line)
