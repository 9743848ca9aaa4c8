"""Trials on demand: those whose outcome is kept are not run again, the others run in a pool, each is kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from engine.search.space import Choice, describe
from harness.run.workers import Job
from harness.search.evaluation import Evaluation, find_evaluation, save_evaluation
from harness.search.pool import Pool
from harness.search.progress import Watcher
from harness.search.setting import Setting, Trial, key
from harness.search.trial import TrialJob, run_trial


@dataclass(frozen=True)
class Laboratory:
    """out: folder of the search, where outcomes are kept. slots: folder for builds; None: one a process."""

    setting: Setting
    out: Path
    slots: Path | None
    pool: Pool
    watcher: Watcher
    asked: list[Evaluation] = field(default_factory=list)
    """Every outcome that was asked for."""

    def evaluate(self, title: str, trials: Sequence[Trial]) -> list[Evaluation]:
        """The outcome of each trial, in order. Raises the first error of one; what was finished is kept."""
        wanted = {key(self.setting, trial): trial for trial in trials}
        found: dict[str, Evaluation] = {}
        for name in wanted:
            kept = find_evaluation(self.out, name)
            if kept is not None:
                found[name] = kept
        missing = [(name, trial) for name, trial in wanted.items() if name not in found]
        self.watcher.stage(title, len(wanted), len(found))
        if missing:
            running = self.pool.run([self._job(*pair) for pair in missing])
            with closing(running) as outcomes:  # type: ignore[type-var]
                for outcome in outcomes:
                    evaluation = outcome.unwrap()
                    save_evaluation(self.out, evaluation)
                    found[evaluation.key] = evaluation
                    self.watcher.done(outcome.job.title, evaluation.reason)
        self.asked.extend(found.values())
        return [found[key(self.setting, trial)] for trial in trials]

    def _job(self, name: str, trial: Trial) -> Job[Evaluation]:
        job = TrialJob(self.setting, trial, name, self.slots, self.pool.parallel)
        return Job(title_of(trial), partial(run_trial, job))

    def scores_of(
        self, title: str, choices: Sequence[Choice], rate: float, seeds: Sequence[int]
    ) -> dict[Choice, list[Evaluation]]:
        """Outcomes of each choice, one a seed in the order of `seeds`."""
        trials = [Trial(choice, rate, seed) for choice in choices for seed in seeds]
        found = self.evaluate(title, trials)
        return {
            choice: [one for trial, one in zip(trials, found, strict=True) if trial.choice == choice]
            for choice in choices
        }


def title_of(trial: Trial) -> str:
    """e.g. `b20 w24:0.25, rate 0.0008, seed 1`."""
    return f"{describe(trial.choice)}, rate {trial.learning_rate:g}, seed {trial.seed}"
