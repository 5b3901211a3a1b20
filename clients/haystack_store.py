"""Haystack's document store for Qdrant (qdrant-haystack): documents in, similar documents out."""

import numpy as np
from haystack import Document
from haystack.dataclasses import SparseEmbedding
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret
from haystack_integrations.components.retrievers.qdrant import (
    QdrantEmbeddingRetriever,
    QdrantHybridRetriever,
    QdrantSparseEmbeddingRetriever,
)
from haystack_integrations.document_stores.qdrant import QdrantDocumentStore

import exact
from flow import TOKEN, URL, Flow

COUNT = len(exact.TEXTS)
EMBEDDINGS = [exact.embedding(text) for text in exact.TEXTS]
QUERY = "fresh bread in the morning"

flow = Flow()


def document(number):
    indices, values = exact.sparse_embedding(exact.TEXTS[number])
    return Document(
        id=f"text-{number}",
        content=exact.TEXTS[number],
        embedding=EMBEDDINGS[number],
        sparse_embedding=SparseEmbedding(indices, values),
        meta={"number": number, "parity": "odd" if number % 2 else "even"},
    )


def open_store(name, **arguments):
    return QdrantDocumentStore(
        url=URL,
        api_key=Secret.from_token(TOKEN) if TOKEN else None,
        index=name,
        embedding_dim=32,
        progress_bar=False,
        **arguments,
    )


def expected(limit, allowed=None):
    found = exact.nearest(EMBEDDINGS, exact.embedding(QUERY), "Cosine", limit, allowed)
    return [(f"text-{row}", score) for row, score in found]


def hits(found):
    return [(document.id, document.score) for document in found["documents"]]


def condition(field, operator, value):
    return {"field": field, "operator": operator, "value": value}


CASES = [
    (condition("meta.parity", "==", "odd"), lambda n: n % 2 == 1),
    (condition("meta.parity", "!=", "odd"), lambda n: n % 2 == 0),
    (condition("meta.number", ">=", 7), lambda n: n >= 7),
    (condition("meta.number", "in", [1, 2, 3]), lambda n: n in (1, 2, 3)),
    (condition("meta.number", "not in", [1, 2, 3]), lambda n: n not in (1, 2, 3)),
    (
        {
            "operator": "AND",
            "conditions": [condition("meta.parity", "==", "even"), condition("meta.number", "<", 6)],
        },
        lambda n: n % 2 == 0 and n < 6,
    ),
    (
        {
            "operator": "OR",
            "conditions": [condition("meta.parity", "==", "odd"), condition("meta.number", ">", 8)],
        },
        lambda n: n % 2 == 1 or n > 8,
    ),
]


@flow.step
def documents_are_written(state):
    state["store"] = open_store("haystack")
    assert state["store"].write_documents([document(number) for number in range(COUNT)]) == COUNT
    assert state["store"].count_documents() == COUNT
    again = [document(0)]
    assert state["store"].write_documents(again, policy=DuplicatePolicy.OVERWRITE) == 1
    assert state["store"].count_documents() == COUNT


@flow.step
def filters_select_documents(state):
    for filters, is_chosen in CASES:
        found = {found.id for found in state["store"].filter_documents(filters)}
        assert found == {f"text-{number}" for number in range(COUNT) if is_chosen(number)}, filters


@flow.step
def retrieval_finds_what_numpy_finds(state):
    retriever = QdrantEmbeddingRetriever(state["store"], top_k=5)
    embedding = exact.embedding(QUERY)
    exact.assert_same(hits(retriever.run(embedding)), expected(5))
    for filters, is_chosen in CASES:
        found = retriever.run(embedding, filters=filters, top_k=50)
        allowed = [is_chosen(number) for number in range(COUNT)]
        exact.assert_same(hits(found), expected(50, allowed))


@flow.step
def documents_are_deleted(state):
    state["store"].delete_documents(["text-0", "text-1"])
    assert state["store"].count_documents() == COUNT - 2
    found = QdrantEmbeddingRetriever(state["store"], top_k=50).run(exact.embedding(QUERY))
    exact.assert_same(hits(found), expected(50, np.arange(COUNT) >= 2))


@flow.step
def words_are_retrieved_and_mixed_with_meaning(state):
    store = open_store("haystack-sparse", use_sparse_embeddings=True)
    store.write_documents([document(number) for number in range(COUNT)])
    dots = [exact.common_words(QUERY, text) for text in exact.TEXTS]
    sparse = SparseEmbedding(*exact.sparse_embedding(QUERY))
    found = hits(QdrantSparseEmbeddingRetriever(store, top_k=4, scale_score=False).run(sparse))
    best = sorted((dot for dot in dots if dot > 0), reverse=True)[:4]
    assert np.allclose([score for _, score in found], best), (found, best)
    # A text itself is the first of both lists; behind it many have as many words in common, in any order.
    for number, text in enumerate(exact.TEXTS):
        mixed = hits(
            QdrantHybridRetriever(store, top_k=1).run(
                query_embedding=exact.embedding(text),
                query_sparse_embedding=SparseEmbedding(*exact.sparse_embedding(text)),
            )
        )
        assert mixed[0][0] == f"text-{number}" and np.isclose(mixed[0][1], 1.0), (number, mixed)


if __name__ == "__main__":
    flow.run({})
