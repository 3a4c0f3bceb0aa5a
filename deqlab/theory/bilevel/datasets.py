"""The logistic problems: two sets that scikit-learn bundles, and sparse texts drawn to the shape of
20-newsgroups. Nothing is downloaded.
"""

from functools import cache

import numpy as np
import scipy.sparse

from deqlab.theory.bilevel.logistic import Logistic, Split


def thirds(count: int, seed: int) -> list[np.ndarray]:
    """Three disjoint random parts of range(count), equal up to one: training, validation, test."""
    return np.array_split(np.random.default_rng(seed).permutation(count), 3)


def digits(seed: int) -> Logistic:
    """Is a handwritten digit even? 1797 images of 8x8 pixels; x holds 64 coefficients and an
    intercept.
    """
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return _dense("digits", X, np.where(y % 2 == 0, 1, -1), seed)


def breast_cancer(seed: int) -> Logistic:
    """Is a tumour benign? 569 patients, 30 standardised measurements; x holds their coefficients
    and an intercept.
    """
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    return _dense("breast cancer", X, np.where(y == 1, 1, -1), seed)


def newsgroups(seed: int) -> Logistic:
    """Sparse texts of two groups: 3000 documents over 20000 words, about 100 different words in
    each, rows of unit length.

    The proportions are those of the two-class 20-newsgroups problem of HOAG and SHINE (18846 x
    130107, 157), a sixth of its size. The documents are the same for all seeds; the split is not.
    """
    X, y = texts()
    train, validate, test = (Split(X[part], y[part]) for part in thirds(len(y), seed))
    return Logistic("newsgroups-like", train, validate, test)


@cache
def texts(
    documents: int = 3000, words: int = 20000, seed: int = 0
) -> tuple[scipy.sparse.csr_array, np.ndarray]:
    """tf-idf rows (documents, words) of unit length and labels of -1 and +1.

    Word frequencies follow Zipf's law and document lengths are lognormal. Each label has ten topics
    which make their own words more likely; a document mixes one topic of its label with the common
    language, and every twentieth label is wrong.
    """
    rng = np.random.default_rng(seed)
    frequency = 1 / (np.arange(words) + 3.0)
    topics = frequency * np.exp(
        2 * rng.standard_normal((20, words)) * (rng.random((20, words)) < 0.2)
    )
    common, topics = frequency / frequency.sum(), topics / topics.sum(axis=1, keepdims=True)
    topic = rng.integers(20, size=documents)
    lengths = np.clip(rng.lognormal(4.9, 0.7, documents), 20, 2000).astype(int)
    rows = []
    for kind, length in zip(topic, lengths, strict=True):
        drawn = rng.choice(words, size=length, p=(common + topics[kind]) / 2)
        rows.append(np.unique(drawn, return_counts=True))
    pointers = np.concatenate([[0], np.cumsum([len(found) for found, _ in rows])])
    X = scipy.sparse.csr_array(
        (
            np.log1p(np.concatenate([count for _, count in rows])),
            np.concatenate([found for found, _ in rows]),
            pointers,
        ),
        shape=(documents, words),
    )
    held = np.bincount(X.indices, minlength=words)
    X = X @ scipy.sparse.diags_array(np.log((1 + documents) / (1 + held)) + 1)
    X = scipy.sparse.diags_array(1 / np.sqrt((X * X).sum(axis=1))) @ X
    labels = np.where((topic < 10) ^ (rng.random(documents) < 0.05), -1, 1)
    return X.tocsr(), labels


def _dense(name: str, X: np.ndarray, y: np.ndarray, seed: int) -> Logistic:
    """Features standardised by the training third, with a constant one in front of the
    intercept.
    """
    parts = thirds(len(y), seed)
    mean, deviation = X[parts[0]].mean(axis=0), X[parts[0]].std(axis=0)
    # A pixel that is blank in all training images says nothing.
    X = np.where(deviation > 0, (X - mean) / np.where(deviation > 0, deviation, 1), 0)
    X = np.hstack([X, np.ones((len(y), 1))])
    train, validate, test = (Split(X[part], y[part]) for part in parts)
    return Logistic(name, train, validate, test)
