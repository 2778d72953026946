"""Random search that trains every configuration to its end."""

from __future__ import annotations

from peers.random_search import RandomSearch

from fidelity import Job, Setting


class FullRandom:
    def __init__(self, setting: Setting) -> None:
        self.draws = RandomSearch(setting.space, setting.seed)
        self.version = self.draws.version
        self.epochs, self.trials, self.seconds = setting.epochs, 0, 0.0

    def ask(self) -> Job:
        self.trials += 1
        return Job(self.trials - 1, self.draws.ask(), 0, self.epochs)

    def report(self, trial: int, step: int, loss: float | None) -> bool:
        return True

    def close(self) -> None:
        pass
