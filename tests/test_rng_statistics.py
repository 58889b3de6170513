"""The fast generator against a battery of statistical tests, along every path on which the engine draws.

Seeds are fixed, so that a test either always passes or never does. With other seeds, each statistic would reject ideal
random bits once in a million (`ALARM`); a maximum over many counts is held to the millionth of them all.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vtune.rng import implementation, key, step_key, study_key, trial_key

ALARM = 1e-6
WORDS = 2**18


def _model_keys(trials, steps, replicas=(0,)):
    study = study_key(5)
    chain = jax.vmap(
        jax.vmap(
            jax.vmap(lambda t, r, s: step_key(trial_key(study, t, r), "model", s), (None, None, 0)), (None, 0, None)
        ),
        (0, None, None),
    )
    return jax.jit(chain)(jnp.asarray(trials), jnp.asarray(replicas), jnp.asarray(steps)).reshape(-1)


def _drawn(keys, dtype="uint32"):
    shape = (WORDS // keys.size,)
    return np.asarray(jax.jit(jax.vmap(lambda k: jax.random.bits(k, shape, dtype)))(keys)).reshape(-1)


STREAMS = {
    "one draw": lambda: _drawn(key(1, 0, "model")[None]),
    "consecutive steps": lambda: _drawn(_model_keys([3], np.arange(2**12))),
    "consecutive trials": lambda: _drawn(_model_keys(np.arange(2**12), [7])),
    "replicas": lambda: _drawn(_model_keys([3], [7], np.arange(2**12))),
    "one word a step": lambda: _drawn(_model_keys([3], np.arange(WORDS))),
    "a split": lambda: _drawn(jax.random.split(key(1, 0, "model"), 2**12)),
    "consecutive seeds": lambda: _drawn(
        jax.vmap(lambda s: jax.random.key(s, impl=implementation("pcg")))(jnp.arange(2**12))
    ),
    "raw keys in a row": lambda: _drawn(
        jax.random.wrap_key_data(
            jnp.stack([jnp.arange(2**12, dtype=jnp.uint32), jnp.zeros(2**12, jnp.uint32)], -1),
            impl=implementation("pcg"),
        )
    ),
    "raw keys in high bits": lambda: _drawn(
        jax.random.wrap_key_data(
            jnp.stack([jnp.zeros(2**12, jnp.uint32), jnp.arange(2**12, dtype=jnp.uint32) << 20], -1),
            impl=implementation("pcg"),
        )
    ),
    "keys themselves": lambda: np.asarray(jax.random.key_data(_model_keys(np.arange(2**8), np.arange(2**9)))).reshape(
        -1
    ),
}


@functools.cache
def _stream(name):
    return STREAMS[name]()


@pytest.fixture(params=STREAMS)
def words(request):
    return _stream(request.param)


def _bits(words):
    return (words[..., None] >> np.arange(32, dtype=np.uint32) & 1).astype(np.int8)


def _assert_halves(counts, n):
    """Counts of n fair coins each."""
    deviation = np.abs(np.asarray(counts) - n / 2) / np.sqrt(n / 4)
    assert deviation.max() < stats.norm.isf(ALARM / 2 / np.size(counts))


def _assert_even(values, cells):
    assert stats.chisquare(np.bincount(values, minlength=cells)).pvalue > ALARM


def test_each_bit_is_balanced(words):
    _assert_halves(_bits(words).sum(0, dtype=int), len(words))


def test_no_two_bits_of_a_word_agree_too_often(words):
    signs = 1.0 - 2.0 * _bits(words).astype(np.float32)
    agreement = (signs.T @ signs / len(words))[np.triu_indices(32, 1)]
    assert np.abs(agreement).max() * np.sqrt(len(words)) < stats.norm.isf(ALARM / 2 / len(agreement))


def test_serial_correlation_of_every_bit(words):
    lags = (1, 2, 3, 4, 7, 16, 63, 64, 65, 128, 1024, 4096)
    differing = [_bits(words[:-lag] ^ words[lag:])[: WORDS - 4096].sum(0, dtype=int) for lag in lags]
    _assert_halves(differing, WORDS - 4096)


@pytest.mark.parametrize("shift", [0, 8, 16, 24])
def test_bytes_and_successive_pairs_and_triples_fill_their_cells_evenly(words, shift):
    octets = (words >> np.uint32(shift) & 255).astype(int)
    _assert_even(octets, 256)
    _assert_even(octets[::2] << 8 | octets[1::2], 2**16)
    fine = octets[: len(octets) // 3 * 3].reshape(-1, 3) >> 3
    _assert_even(fine[:, 0] << 10 | fine[:, 1] << 5 | fine[:, 2], 2**15)
    distant = octets.reshape(-1, 128)
    _assert_even((distant[:, :64] << 8 | distant[:, 64:]).ravel(), 2**16)


def test_collisions_are_as_many_as_birthdays_allow(words):
    expected = WORDS**2 / 2**33
    repeats = len(words) - len(np.unique(words))
    assert stats.poisson.isf(ALARM / 2, expected) >= repeats >= stats.poisson.ppf(ALARM / 2, expected)


@pytest.mark.parametrize("bit", [0, 15, 31])
def test_runs_of_a_bit_are_geometric(words, bit):
    sequence = words >> np.uint32(bit) & 1
    ends = np.flatnonzero(np.diff(sequence))
    lengths = np.minimum(np.diff(ends), 12)
    expected = np.append(0.5 ** np.arange(1, 12), 0.5**11) * len(lengths)
    assert stats.chisquare(np.bincount(lengths, minlength=13)[1:], expected).pvalue > ALARM


@pytest.mark.parametrize("shift", [0, 26])
def test_gaps_between_visits_are_geometric(words, shift):
    visits = np.flatnonzero((words >> np.uint32(shift) & 63) == 17)
    gaps = np.minimum(np.diff(visits), 256)
    chance = 1 / 64
    lengths = np.arange(1, 256)
    expected = np.append(chance * (1 - chance) ** (lengths - 1), (1 - chance) ** 255) * len(gaps)
    assert stats.chisquare(np.bincount(gaps, minlength=257)[1:], expected).pvalue > ALARM


def test_ranks_of_random_matrices(words):
    """32 by 32 matrices over GF(2): full rank 0.2888, one less 0.5776 (Marsaglia's test)."""
    rows = words[: 2**13 * 32].reshape(-1, 32).copy()
    rank = np.zeros(len(rows), int)
    for bit in range(32):
        mask = np.uint32(1 << bit)
        has = (rows & mask) != 0
        pivot, found = has.argmax(1), has.any(1)
        picked = np.where(found, rows[np.arange(len(rows)), pivot], np.uint32(0))
        rows = np.where(has & found[:, None], rows ^ picked[:, None], rows)
        rank += found
    full = np.prod(1 - 0.5 ** np.arange(1, 33))
    one_less = full * (1 - 0.5**32) ** 2 / (1 - 0.5) ** 2 * 0.5
    expected = np.array([1 - full - one_less, one_less, full]) * len(rows)
    assert stats.chisquare(np.bincount(np.clip(rank, 30, 32) - 30, minlength=3), expected).pvalue > ALARM


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_narrow_words_are_even(dtype):
    draws = _drawn(_model_keys(np.arange(64), np.arange(64)), dtype).astype(int)
    _assert_even(draws & 255, 256)
    _assert_even(draws >> (np.iinfo(dtype).bits - 8), 256)
    _assert_even((draws[::2] & 255) << 8 | draws[1::2] & 255, 2**16)


def test_a_flipped_key_bit_flips_every_bit_half_of_the_time():
    count = 2**12
    data = jax.random.key_data(_model_keys(np.arange(64), np.arange(64)))
    flips = np.zeros((64, 2), np.uint32)
    flips[np.arange(64), np.arange(64) // 32] = 1 << np.arange(64) % 32

    @jax.jit
    def outputs(flip):
        keys = jax.random.wrap_key_data(data ^ flip, impl=implementation("pcg"))
        folded = jax.vmap(lambda k: jax.random.key_data(jax.random.fold_in(k, 3)).ravel())(keys)
        children = jax.vmap(lambda k: jax.random.key_data(jax.random.split(k, 2)).ravel())(keys)
        drawn = jax.vmap(lambda k: jax.random.bits(k, (2,)))(keys)
        return jnp.concatenate([drawn, folded, children], axis=1)

    plain = np.asarray(outputs(np.zeros(2, np.uint32)))
    counts = [_bits(plain ^ np.asarray(outputs(flip))).sum(0, dtype=int) for flip in flips]
    _assert_halves(counts, count)


def test_a_flipped_bit_of_folded_data_flips_every_bit_half_of_the_time():
    count = 2**12
    keys = _model_keys(np.arange(64), np.arange(64))
    data = jax.vmap(jax.random.bits)(_model_keys(np.arange(count), [1]))
    fold = jax.jit(jax.vmap(lambda k, d: jax.random.key_data(jax.random.fold_in(k, d))))
    plain = np.asarray(fold(keys, data))
    flipped = [np.asarray(fold(keys, data ^ np.uint32(1 << bit))) for bit in range(32)]
    _assert_halves([_bits(plain ^ other).sum(0, dtype=int) for other in flipped], count)


def test_a_flipped_index_bit_flips_every_bit_half_of_the_time():
    draw = _stream("one draw")
    for bit in range(18):
        pairs = draw.reshape(-1, 2, 1 << bit)
        _assert_halves(_bits(pairs[:, 0] ^ pairs[:, 1]).sum((0, 1), dtype=int), WORDS // 2)


def test_masks_of_neighbouring_trials_and_steps_are_uncorrelated():
    """Every pair of 256 dropout masks, [lanes, steps, batch, features] as the engine draws them."""
    masks = jax.jit(jax.vmap(lambda k: jax.random.bernoulli(k, 0.8, (64, 64))))(
        _model_keys(np.arange(8), np.arange(16), np.arange(2))
    )
    x = (np.asarray(masks).reshape(256, -1) - 0.8) / np.sqrt(0.16)
    correlation = (x @ x.T / x.shape[1])[np.triu_indices(256, 1)]
    assert np.abs(correlation).max() * np.sqrt(x.shape[1]) < stats.norm.isf(ALARM / 2 / len(correlation))
    assert stats.kstest(correlation * np.sqrt(x.shape[1]), "norm").pvalue > ALARM


def test_purposes_are_independent():
    streams = [
        np.asarray(jax.random.bits(key(5, 0, purpose), (2**18,))) for purpose in ("init", "batch", "model", "evaluate")
    ]
    for i in range(4):
        for j in range(i):
            _assert_halves(_bits(streams[i] ^ streams[j]).sum(0, dtype=int), 2**18)


def test_a_draw_is_independent_of_the_keys_made_from_the_same_key():
    base = key(2, 0, "model")
    drawn = np.asarray(jax.random.bits(base, (2**18,)))
    split = np.asarray(jax.random.key_data(jax.random.split(base, 2**18)))
    folded = np.asarray(
        jax.random.key_data(jax.jit(jax.vmap(lambda i: jax.random.fold_in(base, i)))(jnp.arange(2**18)))
    )
    columns = [drawn, *split.T, *folded.T]
    for i in range(len(columns)):
        for j in range(i):
            _assert_halves(_bits(columns[i] ^ columns[j]).sum(0, dtype=int), 2**18)


@pytest.mark.parametrize(
    ("draw", "distribution"),
    [(jax.random.uniform, "uniform"), (jax.random.normal, "norm"), (jax.random.gumbel, "gumbel_r")],
)
def test_floats_follow_their_distribution(draw, distribution):
    across = jax.jit(jax.vmap(lambda k: draw(k, (64,))))(_model_keys(np.arange(64), np.arange(64)))
    alone = draw(key(9, 1, "init"), (2**18,))
    for sample in (across, alone):
        assert stats.kstest(np.ravel(sample).astype(float), distribution).pvalue > ALARM


def test_integers_of_every_span_are_even():
    for span in (2, 10, 64, 1437):
        draws = jax.jit(jax.vmap(lambda k, span=span: jax.random.randint(k, (256,), 0, span)))(
            _model_keys(np.arange(32), np.arange(32))
        )
        _assert_even(np.ravel(draws), span)


@pytest.mark.slow
@pytest.mark.parametrize("trials", [64, 2**16])
def test_long_streams_stay_even_and_uncorrelated(trials):
    """2**28 words of many keys: successive bytes, balance and lagged agreement of every bit."""
    study = study_key(8)
    draw = jax.jit(
        jax.vmap(lambda t, s: jax.random.bits(step_key(trial_key(study, t), "model", s), (2**22 // trials,)), (0, None))
    )
    pairs, ones, differing, repeats = np.zeros((2, 2**16), int), 0, 0, 64
    for step in range(repeats):
        words = np.asarray(draw(jnp.arange(trials), step)).ravel()
        for row, shift in enumerate((0, 24)):
            octets = (words >> np.uint32(shift) & 255).astype(int)
            pairs[row] += np.bincount(octets[::2] << 8 | octets[1::2], minlength=2**16)
        ones += np.array([np.count_nonzero(words >> np.uint32(bit) & 1) for bit in range(32)])
        changed = words[1::2] ^ words[::2]
        differing += np.array([np.count_nonzero(changed >> np.uint32(bit) & 1) for bit in range(32)])
    for row in pairs:
        assert stats.chisquare(row).pvalue > ALARM
    _assert_halves(ones, repeats * 2**22)
    _assert_halves(differing, repeats * 2**21)
