"""A composite action run as GitHub's runner does it, as far as `action.yml` needs: expressions, environment, command files."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Step = dict[str, Any]
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail")  # what `shell: bash` means


@dataclass(frozen=True, slots=True)
class Run:
    """What the steps said, in the order in which a runner shows it, and what is left of them."""

    exit_code: int
    log: str
    summary: str
    outputs: Mapping[str, str]

    def commands(self, name: str) -> list[str]:
        """The workflow commands of one kind that the runner would obey."""
        lines, token = [], None
        for line in self.log.splitlines():
            if token is not None:
                token = None if line.strip() == f"::{token}::" else token
            elif line.startswith("::stop-commands::"):
                token = line.removeprefix("::stop-commands::")
            elif line.strip().startswith(f"::{name} "):
                lines.append(line)
        return lines


@dataclass(slots=True)
class Action:
    """An action and the runner's folders for it."""

    path: Path
    workspace: Path
    temporary: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    document: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.document = yaml.safe_load(self.path.read_text())
        self.temporary.mkdir(parents=True, exist_ok=True)

    @property
    def steps(self) -> list[Step]:
        return self.document["runs"]["steps"]

    def run(self, *, instead_of: Mapping[str, Mapping[str, str]], **inputs: str) -> Run:
        """All steps, until one fails.

        Args:
            instead_of: The outputs of steps that are not run.
            inputs: What the workflow says; `_` for `-`.
        """
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        declared = self.document["inputs"]
        assert given.keys() <= declared.keys()
        values = {name: given.get(name, about["default"]) for name, about in declared.items()}
        steps: dict[str, dict[str, str]] = {name: dict(outputs) for name, outputs in instead_of.items()}
        summary = self.temporary / "summary"
        summary.touch()
        log, exit_code = "", 0
        for step in self.steps:
            if step["id"] in instead_of or exit_code or not self._is_wanted(step, values):
                continue
            exit_code, said, steps[step["id"]] = self._run_step(step, values, steps, summary)
            log += said
        outputs = {
            name: evaluate(about["value"], lambda where: look_up(where, values, steps))
            for name, about in self.document["outputs"].items()
        }
        return Run(exit_code, log, summary.read_text(), outputs)

    def _is_wanted(self, step: Step, inputs: Mapping[str, str]) -> bool:
        if "if" not in step:
            return True
        name = re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) == '' \}\}", step["if"])
        assert name, f"if: {step['if']} is not understood here"
        return inputs[name[1]] == ""

    def _run_step(
        self, step: Step, inputs: Mapping[str, str], steps: Mapping[str, Mapping[str, str]], summary: Path
    ) -> tuple[int, str, dict[str, str]]:
        assert step["shell"] == "bash"
        script, output = self.temporary / f"{step['id']}.sh", self.temporary / f"{step['id']}.output"
        script.write_text(step["run"])
        output.touch()
        environment = {
            **os.environ,
            **self.environment,
            **{name: evaluate(text, lambda where: look_up(where, inputs, steps)) for name, text in step["env"].items()},
            "GITHUB_ACTION_PATH": str(self.path.parent),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temporary),
        }
        done = subprocess.run(
            [*_SHELL, str(script)],
            cwd=self.workspace,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, parse_outputs(output.read_text())


def expressions(text: str) -> list[str]:
    """What stands in each `${{ }}`."""
    return _EXPRESSION.findall(text)


def evaluate(text: str, value_of: Callable[[str], str]) -> str:
    """Text with its expressions replaced; of operators there is `||` alone."""

    def value(match: re.Match[str]) -> str:
        return next((found for name in match[1].split(" || ") if (found := value_of(name))), "")

    return _EXPRESSION.sub(value, text)


def look_up(where: str, inputs: Mapping[str, str], steps: Mapping[str, Mapping[str, str]]) -> str:
    """The value of `inputs.NAME` or `steps.ID.outputs.NAME`, empty if a step has not set it."""
    match where.split("."):
        case ["inputs", name]:
            return inputs[name]
        case ["steps", step, "outputs", name]:
            return steps.get(step, {}).get(name, "")
    raise AssertionError(f"{where} is not understood here")


def parse_outputs(text: str) -> dict[str, str]:
    """`name=value` lines, and `name<<token`, lines, `token`, as GITHUB_OUTPUT takes them."""
    outputs: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, separator, rest = line.partition("<<") if "<<" in line.partition("=")[0] else line.partition("=")
        assert separator, f"{line!r} is no output"
        if separator == "=":
            outputs[name] = rest
            continue
        value = []
        while (part := next(lines)) != rest:
            value.append(part)
        outputs[name] = "\n".join(value)
    return outputs
