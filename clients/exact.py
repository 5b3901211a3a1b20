"""What the answers have to be: vectors from a seed, embeddings without a model, distances over all points."""

import hashlib

import numpy as np

# Scores agree to this: they are sums of 32-bit products, in another order on each side.
TOLERANCE = 1e-4


def vectors(count, dimension, seed):
    """As 32-bit floats, which is what the server keeps."""
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def scores(points, query, distance):
    """The score of every point; the best are the least for distances and the greatest for similarities."""
    points, query = np.asarray(points, dtype=np.float64), np.asarray(query, dtype=np.float64)
    if distance == "Cosine":
        return points @ query / np.linalg.norm(points, axis=1) / np.linalg.norm(query)
    if distance == "Dot":
        return points @ query
    if distance == "Euclid":
        return np.linalg.norm(points - query, axis=1)
    assert distance == "Manhattan", distance
    return np.abs(points - query).sum(axis=1)


def nearest(points, query, distance, limit, allowed=None):
    """Rows and scores of the nearest points among those of the mask `allowed`."""
    of_all = scores(points, query, distance)
    order = np.argsort(of_all if distance in ("Euclid", "Manhattan") else -of_all, kind="stable")
    if allowed is not None:
        order = order[np.asarray(allowed)[order]]
    return [(int(row), float(of_all[row])) for row in order[:limit]]


def assert_same(found, expected):
    """Compares lists of ids and scores; ids may change places where scores are the same to the tolerance."""
    assert len(found) == len(expected), f"{len(found)} hits, not {len(expected)}: {found} {expected}"
    best = dict(expected)
    for (identifier, score), (_, wanted) in zip(found, expected):
        assert abs(score - wanted) <= TOLERANCE * max(1.0, abs(wanted)), (found, expected)
        known = best.get(identifier, expected[-1][1])
        assert abs(score - known) <= TOLERANCE * max(1.0, abs(known)), (found, expected)


def embedding(text, dimension=32):
    """A unit vector in which every word has its own direction: texts that share words are near."""
    total = np.zeros(dimension)
    for word in text.lower().split():
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        total += np.random.default_rng(seed).normal(size=dimension)
    return (total / (np.linalg.norm(total) or 1.0)).tolist()


def sparse_embedding(text):
    """Indices and values of a text's words: how often each is there."""
    counts = {}
    for word in text.lower().split():
        index = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
        counts[index] = counts.get(index, 0.0) + 1.0
    indices = sorted(counts)
    return indices, [counts[index] for index in indices]


def common_words(one, other):
    """The dot product of two texts' sparse embeddings."""
    counts = dict(zip(*sparse_embedding(one)))
    return sum(counts.get(index, 0.0) * value for index, value in zip(*sparse_embedding(other)))


TEXTS = [
    "the cat sat on the mat",
    "a dog chased the cat around the house",
    "the quick brown fox jumps over the lazy dog",
    "rust is a systems programming language",
    "python is a dynamic programming language",
    "a compiler turns a programming language into machine code",
    "the harbour was full of ships in the morning",
    "fishing ships left the harbour before dawn",
    "the morning train to the city was late",
    "a late train and a missed bus in the city",
    "bread and butter for breakfast in the morning",
    "fresh bread from the baker in the city",
]
