"""Each scheduler once more, in loops over plain numbers and dicts, written from the papers and the docstrings.

A reference is fed the reports of a study in their order, as rows {trial, step, score, finished}, and says of each trial
what happens to it: id -> (action, source). It knows nothing of arrays, and does not care how fast it is.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

CONTINUE, STOP, COPY, PAUSE, FINISH = range(5)


def finite(score):
    return all(math.isfinite(value) for value in score)


def ranked(entries):
    """Ids of (score, id) from the best to the worst; the infinite are left out."""
    entries = [(score, trial) for score, trial in entries if finite(score)]
    if not entries or len(entries[0][0]) == 1:
        return [trial for score, trial in sorted(entries)]
    order = []
    while entries:
        front = [(s, t) for s, t in entries if not any(dominates(other, s) for other, _ in entries)]
        far = crowding(sorted({s for s, _ in front}))
        order += [trial for _, trial in sorted((-far[s], t) for s, t in front)]
        entries = [entry for entry in entries if entry not in front]
    return order


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def crowding(points):
    far = dict.fromkeys(points, 0.0)
    for axis in range(len(points[0])):
        line = sorted(points, key=lambda point: point[axis])
        for before, point, after in zip(line, line[1:], line[2:], strict=False):
            if line[-1][axis] > line[0][axis]:
                far[point] += (after[axis] - before[axis]) / (line[-1][axis] - line[0][axis])
        far[line[0]] = far[line[-1]] = math.inf
    return far


def geometric(first, factor, steps, last=None):
    return [step for step in (first * factor**k for k in range(64)) if step < steps and step <= (last or steps)]


class ASHA:
    latest = 16_384

    def __init__(self, study, min_steps, reduction, max_steps, variant):
        self.rungs = geometric(min_steps, reduction, study.steps, max_steps)
        self.reduction, self.variant = reduction, variant
        self.next, self.entries, self.promoted, self.complete = {}, [[] for _ in self.rungs], set(), 0

    def decide(self, rows, asked, closed):
        entered, fate = {}, {}
        for row in rows:
            trial, number = row["trial"], self.next.get(row["trial"], 0)
            passed = sum(step <= row["step"] for step in self.rungs)
            diverged = row["finished"] and not finite(row["score"])
            self.complete += row["finished"] and not diverged
            if passed > number:
                number = passed - 1
            elif not (diverged and number < len(self.rungs)):
                fate[trial] = CONTINUE
                continue
            self.next[trial] = number + 1
            self.entries[number].append((row["score"], trial))
            entered[trial] = number
            if row["finished"]:
                self.promoted.add((number, trial))
        for number in set(entered.values()):
            entries = self.entries[number]
            del entries[: -max(self.latest, sum(other == number for other in entered.values()))]
        if self.variant == "stopping":
            for trial, number in entered.items():
                n = len(self.entries[number])
                best = ranked(self.entries[number])[: max(1, n // self.reduction)]
                fate[trial] = CONTINUE if trial in best else STOP
            return fate
        fate |= dict.fromkeys(entered, PAUSE)
        for number, entries in enumerate(self.entries):
            for trial in ranked(entries)[: len(entries) // self.reduction]:
                if (number, trial) not in self.promoted:
                    self.promoted.add((number, trial))
                    fate[trial] = CONTINUE
        if not rows and not self.complete:
            for number in reversed(range(len(self.rungs))):
                left = [entry for entry in self.entries[number] if (number, entry[1]) not in self.promoted]
                if ranked(left):
                    self.promoted.add((number, ranked(left)[0]))
                    return {ranked(left)[0]: CONTINUE}
        return fate


class Halving:
    """Groups of trials, given as a function id -> (group, its rungs, ids of its members)."""

    def __init__(self, group_of, reduction):
        self.group_of, self.reduction = group_of, reduction
        self.next, self.waits, self.over, self.scores, self.groups = {}, set(), set(), {}, set()

    def decide(self, rows, asked, closed):
        fate = {}
        for row in rows:
            trial = row["trial"]
            group, rungs, _ = self.group_of(trial)
            self.groups.add(trial)
            number = self.next.setdefault(trial, 0)
            fate[trial] = CONTINUE
            if row["finished"]:
                self.over.add(trial)
            elif number < len(rungs) and row["step"] >= rungs[number]:
                self.waits.add(trial)
                self.scores[trial] = row["score"]
                fate[trial] = PAUSE
        seen = set()
        for some in sorted(self.waits):
            group, rungs, members = self.group_of(some)
            if group in seen:
                continue
            seen.add(group)
            if closed:
                members = [trial for trial in members if trial < asked]
            if all(trial in self.waits or trial in self.over for trial in members):
                fate |= self.settle(members)
        return fate

    def settle(self, members):
        waiting = [trial for trial in members if trial in self.waits]
        fate = {}
        number = min(self.next[trial] for trial in waiting)
        places = max(1, math.floor(Fraction(len(members), self.reduction ** (number + 1))))
        best = ranked([(self.scores[trial], trial) for trial in waiting])[:places]
        for trial in waiting:
            self.waits.remove(trial)
            if trial in best:
                self.next[trial] += 1
                fate[trial] = CONTINUE
            else:
                self.over.add(trial)
                fate[trial] = STOP
        return fate


def successive_halving(study, min_steps, reduction, cohort):
    size, rungs = cohort or study.trials, geometric(min_steps, reduction, study.steps)
    return Halving(lambda t: (t // size, rungs, range(t // size * size, (t // size + 1) * size)), reduction)


def hyperband(study, min_steps, reduction):
    top = 0
    while min_steps * reduction ** (top + 1) <= study.steps:
        top += 1
    places = []
    for s in range(top + 1):
        n = math.ceil(Fraction((top + 1) * reduction**s, s + 1))
        places += [((j + 0.5) / n, s) for j in range(n)]
    deal = [s for _, s in sorted(places)]

    def group_of(trial):
        cycle, place = divmod(trial, len(deal))
        s = deal[place]
        rungs = [round(study.steps / reduction**i) for i in range(s, 0, -1)]
        return (cycle, s), rungs, [cycle * len(deal) + j for j, other in enumerate(deal) if other == s]

    return Halving(group_of, reduction)


class Median:
    def __init__(self, study, min_steps, min_trials):
        self.min_steps, self.min_trials = min_steps, min_trials
        self.curves, self.averages = {}, {}

    def decide(self, rows, asked, closed):
        fate = {}
        for row in rows:
            if finite(row["score"]):
                curve = self.curves.setdefault(row["trial"], [])
                curve.append(row["score"][0])
                self.averages.setdefault(row["step"], []).append(sum(curve) / len(curve))
        for row in rows:
            fate[row["trial"]] = CONTINUE
            if finite(row["score"]) and row["step"] >= self.min_steps:
                others = sorted(self.averages[row["step"]])
                n = len(others)
                median = others[n // 2] if n % 2 else (others[n // 2 - 1] + others[n // 2]) / 2
                if n >= self.min_trials and min(self.curves[row["trial"]]) > median:
                    fate[row["trial"]] = STOP
        return fate


class Patience:
    def __init__(self, study, patience, min_delta, min_steps):
        self.patience, self.min_delta, self.min_steps = patience, min_delta, min_steps
        self.curves, self.saved = {}, {}

    def decide(self, rows, asked, closed):
        fate = {}
        for row in rows:
            trial, curve = row["trial"], self.curves.setdefault(row["trial"], [])
            score = row["score"][0]
            if math.isfinite(score) and all(score < other for other in curve if math.isfinite(other)):
                self.saved[trial] = row["step"]
            curve.append(score)
            base, idle = math.inf, 0
            for value in curve:
                if math.isfinite(value) and value < base - self.min_delta:
                    base, idle = value, 0
                else:
                    idle += 1
            fate[trial] = FINISH if idle >= self.patience and row["step"] >= self.min_steps else CONTINUE
        return fate


class Threshold:
    def __init__(self, study, lower, upper, step):
        self.lower, self.upper, self.step = lower, upper, step

    def decide(self, rows, asked, closed):
        fate = {}
        for row in rows:
            value, judged = row["score"][0], row["step"] >= (self.step or 0)
            low = self.lower is not None and value < self.lower
            high = self.upper is not None and value > self.upper
            fate[row["trial"]] = STOP if judged and (low or high) else CONTINUE
        return fate


class PBT(Halving):
    """Nobody ends; the last copy the first, and what they change is in `configs` afterwards."""

    def __init__(self, study, interval, quantile, resample, population, fits=lambda source, config: True):
        size, rungs = population or study.trials, list(range(interval, study.steps, interval))
        super().__init__(lambda t: (t // size, rungs, range(t // size * size, (t // size + 1) * size)), 2)
        self.study, self.quantile, self.resample, self.size, self.fits = study, quantile, resample, size, fits
        self.configs, self.known = {}, {}

    def settle(self, members):
        waiting = [trial for trial in members if trial in self.waits]
        order = ranked([(self.scores[trial], trial) for trial in waiting])
        generation = max(self.next[trial] for trial in waiting)
        count = min(math.ceil(len(waiting) * self.quantile), len(waiting) // 2)
        best, good = sorted(order[:count]), order[: len(waiting) - count]
        seed = np.random.SeedSequence([self.study.seed, 0x9B7, members[0] // self.size, generation])
        draw = np.random.Generator(np.random.Philox(seed)).random
        fate = {}
        for trial in waiting:
            self.waits.remove(trial)
            self.next[trial] += 1
            fate[trial] = CONTINUE
            if trial not in good and best:
                source = best[int(draw() * len(best))]
                fate[trial] = COPY, source
                self.configs[trial] = self.explored(source, draw)
        return fate

    def explored(self, source, draw):
        space = self.study.space
        config = space.fill([self.known[source]])[0]
        for name, parameter in space.items():
            anew, where = draw() < self.resample, draw()
            if anew:
                value = parameter.decode(parameter.axis.from_unit(np.array([where])))[0]
            else:
                value = self.moved(parameter, config[name], where)
            tried = {**config, name: value}
            if tried["width"] < 60 and self.fits(source, tried):
                config = tried
        return active(config)

    @staticmethod
    def moved(parameter, value, where):
        factor = 0.8 if where < 0.5 else 1.2
        if parameter.kind == "choice":
            return value
        if parameter.kind == "float" and parameter.step is None:
            return min(max(value * factor, parameter.low), parameter.high)
        step = parameter.step or 1
        here = round((value - parameter.low) / step)
        there = round((value * factor - parameter.low) / step)
        if there == here:
            there += (1 if factor > 1 else -1) * (-1 if value < 0 else 1)
        there = min(max(there, 0), math.floor((parameter.high - parameter.low) / step + 1e-9))
        return round(parameter.low + there * step, 9) if parameter.kind == "float" else parameter.low + there * step


def active(config):
    """A filled config of the tests' space without what is not active."""
    return {name: value for name, value in config.items() if name != "momentum" or config["optimizer"] == "momentum"}
