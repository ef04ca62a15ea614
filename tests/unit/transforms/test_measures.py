"""Measures of a model from its statistics, against scikit-learn, fairlearn and plain computations on every row."""

import math

import fairlearn.metrics as fairness
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from retrolabel.transforms.kernels.delays import count_delays
from retrolabel.transforms.kernels.intervals import as_normal, difference, mean, proportion, quantile, upper_tail
from retrolabel.transforms.kernels.measures import (
    arrivals,
    binary_measures,
    group_measures,
    number_measures,
    policy_measures,
    scored_rows,
)
from retrolabel.transforms.kernels.monitor import MonitorRule, PolicyRule, measure, merge
from retrolabel.transforms.kernels.ndcg import measure_ranking, ranked_rows

Z = quantile(0.95)
DAY = 86_400_000_000


def rule(**changes) -> MonitorRule:
    given = {
        "score": "score", "label": "label", "foretold": False, "outcome": "click", "window": DAY, "time": "time", "threshold": 0.5,
        "model": None, "position": None, "query": (), "propensity": None, "policies": (), "attributes": (), "min_rows": 1,
    }  # fmt: skip
    return MonitorRule(**(given | changes))


def statistics(
    score, label, rule: MonitorRule, watermark: int = 10 * DAY, times=None, delay=None, **columns
) -> pa.Table:
    times = np.zeros(len(score), dtype=np.int64) if times is None else times
    table = pa.table({"score": score, "time": pa.array(times, pa.timestamp("us", "UTC")), **columns})
    first = None if delay is None else micros(delay)
    return measure(table, np.arange(len(score)), {"label": pa.array(label)}, first, rule, watermark)


def micros(delay) -> np.ndarray:
    return np.where(np.isnan(delay), -1, np.nan_to_num(delay) * 1e6).astype(np.int64)


def of(table: pa.Table, statistic: str, attribute: str = "", value: str | None = None) -> pa.Table:
    chosen = pc.and_(
        pc.equal(table["statistic"].cast(pa.string()), statistic),
        pc.equal(table["attribute"].cast(pa.string()), attribute),
    )
    if value is not None:
        chosen = pc.and_(chosen, pc.equal(table["value"].cast(pa.string()), value))
    return table.filter(chosen)


def sums(table: pa.Table, *names: str) -> dict[str, tuple[float, float, float]]:
    return {
        name: tuple(float(pc.sum(of(table, name)[column]).as_py()) for column in ("rows", "total", "squares"))
        for name in names
    }


def calibrated(rows: int, seed: int = 0, digits: int | None = None):
    random = np.random.default_rng(seed)
    score = 1 / (1 + np.exp(-random.normal(-2, 1.5, rows)))
    score = score if digits is None else np.round(score, digits)
    return score, random.random(rows) < score


@pytest.mark.parametrize(("digits", "exact"), [(2, 1e-12), (None, 2e-6)])
def test_measures_are_those_of_scikit_learn(digits, exact):
    """Scores of two digits each have a cell of their own, so nothing is lost at all."""
    score, label = calibrated(20_000, digits=digits)
    found = binary_measures(of(statistics(score, label, rule(threshold=0.3)), "cell"), None, Z)
    selected = score >= 0.3
    for name, expected in {
        "auc": metrics.roc_auc_score(label, score),
        "log_loss": metrics.log_loss(label, score),
        "bias": score.mean() - label.mean(),
        "rate": label.mean(),
        "accuracy": metrics.accuracy_score(label, selected),
        "precision": metrics.precision_score(label, selected),
        "recall": metrics.recall_score(label, selected),
        "false_positive_rate": (selected & ~label).sum() / (~label).sum(),
        "selection_rate": selected.mean(),
    }.items():
        assert found[name].value == pytest.approx(expected, abs=exact), name
        assert found[name].low < expected < found[name].high, name
    assert found["average_precision"].value == pytest.approx(
        metrics.average_precision_score(label, score), abs=1e-12 if digits else 5e-4
    )
    assert abs(found["auc"].value - metrics.roc_auc_score(label, score)) <= found["auc_grid"]
    assert found["rows"] == 20_000


def test_the_grid_keeps_rank_and_loss_at_both_ends():
    """Scores of a very sure model: many nines and many zeros."""
    random = np.random.default_rng(4)
    logit = random.normal(0, 8, 20_000)
    score = 1 / (1 + np.exp(-logit))
    label = random.random(20_000) < score
    found = binary_measures(of(statistics(score, label, rule()), "cell"), None, Z)
    assert found["auc"].value == pytest.approx(metrics.roc_auc_score(label, score), abs=1e-6)
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(label, score), rel=1e-5)


def test_scores_that_are_no_probabilities_are_ranked_only():
    random = np.random.default_rng(5)
    score = random.normal(0, 30, 5000)
    label = score + random.normal(0, 30, 5000) > 10
    found = binary_measures(of(statistics(score, label, rule()), "cell"), None, Z)
    assert found["auc"].value == pytest.approx(metrics.roc_auc_score(label, score), abs=1e-5)
    assert found["log_loss"] is None
    assert found["bias"] is None
    assert found["calibration"] == []


def test_the_interval_of_auc_is_delongs():
    score, label = calibrated(600, seed=2, digits=2)
    found = binary_measures(of(statistics(score, label, rule()), "cell"), None, Z)["auc"]
    wins = (score[label][:, None] > score[~label][None, :]) + 0.5 * (score[label][:, None] == score[~label][None, :])
    variance = wins.mean(axis=1).var(ddof=1) / label.sum() + wins.mean(axis=0).var(ddof=1) / (~label).sum()
    assert found.deviation == pytest.approx(math.sqrt(variance), rel=1e-9)
    assert 0 < found.low < found.value < found.high < 1


def test_of_a_perfect_order_the_interval_is_no_point():
    found = binary_measures(of(statistics(np.arange(60) / 60, np.arange(60) >= 30, rule()), "cell"), None, Z)["auc"]
    assert (found.value, found.high) == (1, 1)
    assert 0.85 < found.low < 0.95


def test_intervals_hold_as_often_as_they_say():
    """Of 400 days of a model whose true numbers are known, from a million rows of it."""
    score, label = calibrated(1_000_000, seed=99)
    truth = {"auc": metrics.roc_auc_score(label, score), "log_loss": metrics.log_loss(label, score), "bias": 0.0, "rate": label.mean(),
             "average_precision": metrics.average_precision_score(label, score)}  # fmt: skip
    held = dict.fromkeys(truth, 0)
    for seed in range(400):
        found = binary_measures(of(statistics(*calibrated(1000, seed=seed), rule()), "cell"), None, Z)
        for name, expected in truth.items():
            held[name] += found[name].low <= expected <= found[name].high
    assert {name: count for name, count in held.items() if not 0.92 <= count / 400 <= 0.98} == {}


def test_the_calibration_curve_is_that_of_scikit_learn():
    random = np.random.default_rng(3)
    score = np.repeat(np.arange(10) / 10 + 0.05, 300)
    label = random.random(3000) < score**2
    found = binary_measures(of(statistics(score, label, rule()), "cell"), None, Z)
    rates, scores = calibration_curve(label, score, n_bins=10, strategy="uniform")
    assert [point["rate"].value for point in found["calibration"]] == pytest.approx(list(rates))
    assert [point["score"] for point in found["calibration"]] == pytest.approx(list(scores))
    assert found["calibration_error"].value == pytest.approx(np.abs(rates - scores).mean())


def test_lift_is_that_of_the_tenth_with_the_highest_scores():
    score, label = calibrated(10_000, seed=7)
    found = binary_measures(of(statistics(score, label, rule()), "cell"), None, Z)["lift"]
    assert found.value == pytest.approx(label[np.argsort(score)[-1000:]].mean() / label.mean(), rel=2e-3)
    same = binary_measures(of(statistics(np.full(1000, 0.3), np.arange(1000) % 4 == 0, rule()), "cell"), None, Z)[
        "lift"
    ]
    assert same.value == pytest.approx(1)


def test_few_rows_are_not_measured():
    found = binary_measures(of(statistics(np.array([0.1, 0.9]), np.array([False, True]), rule()), "cell"), None, Z)
    assert found["auc"] is None
    assert found["average_precision"] is None
    assert found["accuracy"].value == 1
    assert found["accuracy"].low < 0.4
    nothing = binary_measures(of(statistics(np.zeros(0), np.zeros(0, dtype=bool), rule()), "cell"), None, Z)
    assert nothing["rows"] == 0
    assert nothing["log_loss"] is None


def test_errors_of_numbers_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    label = random.gamma(2, 20, 5000)
    score = label + random.normal(3, 10, 5000)
    table = statistics(score, label, rule())
    found = number_measures(sums(table, "error", "absolute_error", "squared_error", "score", "label"), Z)
    assert found["mae"].value == pytest.approx(metrics.mean_absolute_error(label, score))
    assert found["rmse"].value == pytest.approx(metrics.root_mean_squared_error(label, score))
    assert found["bias"].value == pytest.approx((score - label).mean())
    assert found["bias"].low < 3 < found["bias"].high
    assert found["rmse"].low < math.hypot(3, 10) < found["rmse"].high


@pytest.mark.parametrize("levels", [3, 1000])
def test_ndcg_is_that_of_scikit_learn_with_ties_and_grades(levels):
    random = np.random.default_rng(8)
    query = np.repeat(np.arange(200), 20)
    score, gain = random.integers(0, levels, 4000) / levels, random.integers(0, 4, 4000).astype(float)
    gain[query == 7] = 0
    table = measure_ranking(ranked_rows(query.astype(np.uint64), -score, gain).take(pa.array(random.permutation(4000))))
    for name, cut in (("ndcg", None), ("ndcg_at_10", 10)):
        rows, total, _ = sums(table, name)[name]
        expected = [
            metrics.ndcg_score([gain[query == one]], [score[query == one]], k=cut) for one in range(200) if one != 7
        ]
        assert rows == 199
        assert total / rows == pytest.approx(np.mean(expected))


def test_queries_with_an_open_window_are_not_measured():
    query, order = np.array([1, 1, 2, 2], dtype=np.uint64), np.array([1.0, 2, 1, 2])
    table = measure_ranking(ranked_rows(query, order, np.array([0, 1, 1, np.nan])))
    assert sums(table, "ndcg")["ndcg"][:2] == (1, pytest.approx(1 / math.log2(3)))
    assert of(table, "queries").select(["rows", "positives"]).to_pylist() == [{"rows": 2, "positives": 1}]


def test_fairness_is_that_of_fairlearn():
    score, label = calibrated(6000, seed=11)
    group = np.random.default_rng(11).choice(["a", "b", "c"], 6000, p=[0.5, 0.3, 0.2])
    score = np.where(group == "b", score**0.7, score)
    table = statistics(score, label, rule(attributes=(("group",),), threshold=0.3), group=group)
    found = group_measures({value: of(table, "cell", "group", value) for value in "abc"}, Z, Z)
    selected = score >= 0.3
    frame = fairness.MetricFrame(
        metrics={"selection_rate": fairness.selection_rate, "recall": fairness.true_positive_rate, "accuracy": metrics.accuracy_score,
                 "false_positive_rate": fairness.false_positive_rate},
        y_true=label, y_pred=selected, sensitive_features=group,
    )  # fmt: skip
    for name in frame.by_group.columns:
        for value in "abc":
            assert found["groups"][value][name].value == pytest.approx(frame.by_group.loc[value, name]), (name, value)
    differences = {name: entry["difference"].value for name, entry in found["differences"].items()}
    assert differences["selection_rate_difference"] == pytest.approx(
        fairness.demographic_parity_difference(label, selected, sensitive_features=group)
    )
    assert differences["equal_opportunity_difference"] == pytest.approx(
        fairness.equal_opportunity_difference(label, selected, sensitive_features=group)
    )
    assert differences["accuracy_difference"] == pytest.approx(frame.difference()["accuracy"])
    assert found["differences"]["calibration_difference"]["highest"] == "b"
    assert found["groups"]["b"]["bias"].low > 0.02
    assert found["groups"]["a"]["bias"].low < 0 < found["groups"]["a"]["bias"].high


def test_other_policies_are_valued_without_bias():
    """Three actions of known value; the logging policy prefers the worst, the other one the best."""
    random = np.random.default_rng(12)
    value, logging, other = np.array([0.1, 0.2, 0.5]), np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.2, 0.7])
    action = random.choice(3, 20_000, p=logging)
    label = random.random(20_000) < value[action]
    guessed = np.array([0.15, 0.15, 0.4])
    policies = (
        PolicyRule("new", "p", None),
        PolicyRule("robust", "p", "expected"),
        PolicyRule("same", "propensity", None),
    )
    columns = {"propensity": logging[action], "p": other[action], "expected": np.full(20_000, guessed @ other)}
    table = statistics(guessed[action], label, rule(propensity="propensity", policies=policies), **columns)
    names = ("policy_weight", "policy_reward", "policy_cross", "policy_refused")
    found = {
        policy.name: policy_measures(sums(table.filter(pc.equal(table["value"].cast(pa.string()), policy.name)), *names,
                                          *(["policy_doubly_robust"] if policy.value else [])), Z)
        for policy in policies
    }  # fmt: skip
    weight, reward = other[action] / logging[action], label.astype(float)
    truth = value @ other
    assert found["new"]["ips"].value == pytest.approx((weight * reward).mean())
    assert found["new"]["snips"].value == pytest.approx((weight * reward).sum() / weight.sum())
    assert found["robust"]["doubly_robust"].value == pytest.approx(
        (guessed @ other + weight * (reward - guessed[action])).mean()
    )
    assert found["new"]["effective_rows"] == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert found["same"]["ips"].value == pytest.approx(label.mean())
    for estimate in (found["new"]["ips"], found["new"]["snips"], found["robust"]["doubly_robust"]):
        assert estimate.low < truth < estimate.high
    assert found["robust"]["doubly_robust"].deviation < found["new"]["ips"].deviation


def test_rows_without_usable_probabilities_are_refused_and_counted():
    policies = (PolicyRule("new", "p", None),)
    columns = {"propensity": [0.5, 0.0, None, 1.5, 0.5, 0.5], "p": [1.0, 1.0, 1.0, 1.0, None, 2.0]}
    table = statistics(
        np.full(6, 0.5), np.ones(6, dtype=bool), rule(propensity="propensity", policies=policies), **columns
    )
    assert sums(table, "policy_reward", "policy_refused") == {"policy_reward": (1, 2, 4), "policy_refused": (5, 0, 0)}


# Outcomes that are still to come


def immature_day(seed: int, rows: int = 20_000, watermark: int = DAY):
    """Predictions of a day whose outcome logs end with the day; half the outcomes come within 4 hours."""
    score, true = calibrated(rows, seed)
    random = np.random.default_rng([seed, 1])
    times = random.integers(0, DAY, rows)
    delay = np.where(true, np.minimum(random.exponential(4 * 3600 / math.log(2), rows), 86_399), np.nan)
    return score, true, times, delay, true & (np.nan_to_num(delay, nan=np.inf) * 1e6 <= watermark - times)


def test_recent_days_are_corrected_for_outcomes_that_have_not_come():
    _, _, times, delay, _ = immature_day(1)
    arrived = arrivals(count_delays(micros(delay), 10 * DAY - times, DAY), DAY)
    held = {"rate": 0, "auc": 0, "log_loss": 0, "bias": 0}
    naive = 0
    for seed in range(2, 42):
        score, true, times, delay, seen = immature_day(seed)
        table = statistics(
            score, seen, rule(foretold=True), delay=np.where(seen, delay, np.nan), times=times, watermark=DAY
        )
        found = binary_measures(of(table, "cell"), arrived, Z)
        assert found["matured"] == 0
        assert found["corrected"] + found["unknown"] == 20_000
        assert 0 < found["unknown"] < 3000  # the last hour and a quarter: less than a fifth of their outcomes have come
        truth = {"rate": true.mean(), "auc": metrics.roc_auc_score(true, score), "log_loss": metrics.log_loss(true, score),
                 "bias": score.mean() - true.mean()}  # fmt: skip
        for name, expected in truth.items():
            held[name] += found[name].low <= expected <= found[name].high
        naive += abs(seen.mean() - true.mean()) > 3 * found["rate"].deviation
    assert naive == 40
    assert min(held.values()) >= 36, held


def test_where_nobody_was_watched_to_the_end_it_says_that_it_cannot_tell():
    """The outcome logs end after 20 of the window's 24 hours: nobody knows what the last four would have brought."""
    end = DAY * 5 // 6
    score, _, times, delay, seen = immature_day(3, rows=2000, watermark=end)
    delay = np.where(seen, delay, np.nan)
    assert arrivals(count_delays(micros(delay), end - times, DAY), DAY) is None
    table = statistics(score, seen, rule(foretold=True), delay=delay, times=times, watermark=end)
    found = binary_measures(of(table, "cell"), None, Z)
    assert (found["rows"], found["unknown"], found["auc"]) == (0, 2000, None)


def test_an_outcome_beyond_the_watermark_is_not_seen_yet():
    """Declared completeness may end before the log does: what came later says nothing of what had come."""
    table = statistics(np.full(4, 0.5), np.ones(4, dtype=bool), rule(foretold=True), delay=np.array([10.0, 10, 3600, 3600]),
                       times=np.zeros(4, dtype=np.int64), watermark=60_000_000)  # fmt: skip
    assert pc.sum(of(table, "cell")["positives"]).as_py() == 2


def test_labels_that_no_single_outcome_settles_use_matured_predictions_alone():
    times = np.where(np.arange(100) < 50, 0, DAY)
    table = statistics(np.full(100, 0.5), np.arange(100) % 2 == 0, rule(), times=times, watermark=DAY)
    assert pc.sum(of(table, "cell")["rows"]).as_py() == 50
    assert of(table, "immature")["rows"].to_pylist() == [50]


# Statistics add up


def test_shards_in_any_number_and_order_add_up_to_the_same():
    random = np.random.default_rng(21)
    score, label = calibrated(4000, seed=21)
    columns = {"c": pa.array(random.choice(["a", "ü", None], 4000), pa.string()), "price": pa.array(random.uniform(0, 9, 4000)),
               "n": pa.array(random.integers(0, 5, 4000))}  # fmt: skip
    chosen = rule(attributes=(("c",), ("price",), ("c", "n")), position="n")
    whole = merge([statistics(score, label, chosen, **columns)])
    for cuts in ([1, 2], [3999], [500, 1000, 1500, 3000]):
        pieces = np.split(np.arange(4000), cuts)
        parts = [
            statistics(
                score[rows], label[rows], chosen, **{name: values.take(rows) for name, values in columns.items()}
            )
            for rows in pieces
        ]
        random.shuffle(parts)
        both = merge([merge(parts[:2]), *parts[2:]])
        assert (
            both.drop_columns(["total", "squares"]).to_pylist() == whole.drop_columns(["total", "squares"]).to_pylist()
        )
        for name in ("total", "squares"):
            assert both[name].to_pylist() == pytest.approx(whole[name].to_pylist(), rel=1e-12)


def test_what_cannot_be_measured_is_counted():
    score = np.array([0.5, np.nan, np.inf, 0.5])
    label = pa.array([True, True, False, None])
    table = statistics(score, label, rule())
    counted = {
        name: of(table, name)["rows"].to_pylist() for name in ("predictions", "unscored", "unlabelled", "immature")
    }
    assert counted == {"predictions": [4], "unscored": [2], "unlabelled": [1], "immature": [0]}
    assert scored_rows(of(table, "cell"), None).rows.tolist() == [1]


# Intervals


@pytest.mark.parametrize("freedom", [2, 5, 12, 26])
def test_students_t_as_a_normal_score_is_as_unlikely(freedom):
    from scipy.stats import t

    for score in (1.0, 3.0, 6.0):
        assert upper_tail(as_normal(score, freedom)) == pytest.approx(t.sf(score, freedom), rel=0.13)


def test_wilsons_and_newcombes_intervals_are_the_published_ones():
    """Newcombe (1998), Statistics in Medicine 17: 857-872 and 873-890: 81 of 263, and 56/70 less 48/80."""
    assert proportion(81, 263, Z)[1:3] == pytest.approx((0.2553, 0.3662), abs=5e-5)
    first, second = proportion(56, 70, Z), proportion(48, 80, Z)
    assert difference(first, second)[:3] == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_a_mean_of_one_number_has_no_interval():
    assert mean(1, 5, 25, Z) is None
    assert proportion(0, 0, Z) is None
