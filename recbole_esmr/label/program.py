"""Any program as a labeller: it reads a line of JSON a text and answers with one."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from threading import Thread
from typing import IO, Any, cast

from recbole_esmr.emotion import Taxonomy
from recbole_esmr.errors import ConfigError, DataError
from recbole_esmr.label.labeller import Label, checked_label


class Program:
    """A program that labels, such as a language model behind a prompt.

    It is started once. It reads ``{"id": 0, "text": "…"}`` a line from its standard input and writes, in the same order,
    ``{"id": 0, "share": {"happy": 0.7, "neutral": 0.3}, "intensity": 0.8, "evidence": [["love", 0.4]]}`` a line to its standard
    output; ``intensity`` (1) and ``evidence`` may be left out. What it says is checked.

    Args:
        command: with its arguments; no shell reads it.
        taxonomy: the emotions that it may name.
    """

    english = False

    def __init__(self, command: str, taxonomy: Taxonomy) -> None:
        self._command = shlex.split(command)
        if not self._command:
            raise ConfigError("--command is empty; expected a program and its arguments.")
        self.name = f"command {command}"
        places = zip(taxonomy.valence.tolist(), taxonomy.arousal.tolist(), strict=True)
        self.emotions = {label: list(place) for label, place in zip(taxonomy.labels, places, strict=True)}

    def label(self, texts: Sequence[str]) -> Iterator[Label]:
        """One label a text, in order, each as soon as it is said.

        Raises:
            DataError: the program cannot be started, fails, or says something else than a label for each text.
        """
        try:
            program = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
            )
        except OSError as error:
            raise DataError(f"--command={self._command[0]}: cannot be started ({error.strerror or error}).") from error
        complaints: list[str] = []
        with program:
            questions, answers, errors = (cast(IO[str], pipe) for pipe in (program.stdin, program.stdout, program.stderr))
            feeder = Thread(target=_feed, args=(questions, texts), daemon=True)
            feeder.start()
            listener = Thread(target=_listen, args=(errors, complaints), daemon=True)
            listener.start()
            try:
                for number in range(len(texts)):
                    yield self._answer(answers.readline(), number, program, listener, complaints)
            finally:
                if program.poll() is None:
                    program.terminate()
                feeder.join(timeout=10)  # who has written to the pipe closes it; two that close it at once stumble

    def _answer(self, line: str, number: int, program: subprocess.Popen[Any], listener: Thread, complaints: list[str]) -> Label:
        where = f"--command={self._command[0]}, answer {number + 1}"
        if not line:
            code = program.wait()
            listener.join(timeout=1)
            said = complaints[-1].strip() if complaints else "nothing on standard error"
            raise DataError(f"{where}: the program ended (exit code {code}; {said}) before all texts had a label.")
        try:
            said = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: {line.strip()[:80]!r} is no line of JSON ({error.msg}).") from error
        if not isinstance(said, dict) or said.get("id") != number:
            raise DataError(f'{where}: expected "id": {number}; answers come in the order of the texts, a line each.')
        return checked_label(said, list(self.emotions), where)


def _feed(pipe: IO[str], texts: Sequence[str]) -> None:
    try:
        with pipe:
            for number, text in enumerate(texts):
                pipe.write(json.dumps({"id": number, "text": text}) + "\n")
                pipe.flush()
    except OSError:  # it stopped reading: what it says, or that it ended, is told where answers are read
        return


def _listen(pipe: IO[str], complaints: list[str]) -> None:
    complaints.extend(line for line in pipe if line.strip())
