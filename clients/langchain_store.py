"""LangChain's vector store for Qdrant (langchain-qdrant): texts in, similar texts out."""

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings, SparseVector
from qdrant_client import models

import exact
from flow import TOKEN, URL, Flow

NAME = "langchain"
# Ids have to be UUIDs or numbers.
IDS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(len(exact.TEXTS))]
METADATA = [
    {"number": number, "parity": "odd" if number % 2 else "even"} for number in range(len(exact.TEXTS))
]
ODD = models.Filter(
    must=[models.FieldCondition(key="metadata.parity", match=models.MatchValue(value="odd"))]
)

flow = Flow()


class WordEmbeddings(Embeddings):
    def embed_documents(self, texts):
        return [exact.embedding(text) for text in texts]

    def embed_query(self, text):
        return exact.embedding(text)


def expected(query, limit, allowed=None):
    points = [exact.embedding(text) for text in exact.TEXTS]
    found = exact.nearest(points, exact.embedding(query), "Cosine", limit, allowed)
    return [(exact.TEXTS[row], score) for row, score in found]


def texts_and_scores(found):
    return [(document.page_content, score) for document, score in found]


@flow.step
def from_texts_makes_a_collection(state):
    state["store"] = QdrantVectorStore.from_texts(
        exact.TEXTS[:8],
        WordEmbeddings(),
        metadatas=METADATA[:8],
        ids=IDS[:8],
        url=URL,
        api_key=TOKEN,
        collection_name=NAME,
    )
    info = state["store"].client.get_collection(NAME)
    assert info.points_count == 8, info
    assert info.config.params.vectors == models.VectorParams(size=32, distance=models.Distance.COSINE), info


@flow.step
def add_documents_adds_to_it(state):
    documents = [
        Document(page_content=text, metadata=metadata)
        for text, metadata in zip(exact.TEXTS[8:], METADATA[8:])
    ]
    assert state["store"].add_documents(documents, ids=IDS[8:]) == IDS[8:]
    assert state["store"].client.count(NAME).count == len(exact.TEXTS)


@flow.step
def similarity_search_finds_what_numpy_finds(state):
    for query in ["programming language", "ships in the harbour", "train to the city"]:
        found = state["store"].similarity_search_with_score(query, k=5)
        exact.assert_same(texts_and_scores(found), expected(query, 5))
        documents = state["store"].similarity_search(query, k=5)
        assert documents == [document for document, _ in found]


@flow.step
def a_filter_is_obeyed(state):
    odd = np.arange(len(exact.TEXTS)) % 2 == 1
    found = state["store"].similarity_search_with_score("the morning", k=20, filter=ODD)
    exact.assert_same(texts_and_scores(found), expected("the morning", 20, odd))
    assert all(document.metadata["parity"] == "odd" for document, _ in found)


@flow.step
def a_threshold_is_obeyed(state):
    wanted = [(text, score) for text, score in expected("the cat", 20) if score >= 0.3]
    assert 0 < len(wanted) < len(exact.TEXTS), wanted
    found = state["store"].similarity_search_with_score("the cat", k=20, score_threshold=0.3)
    exact.assert_same(texts_and_scores(found), wanted)


@flow.step
def marginal_relevance_is_the_local_modes(state):
    local = QdrantVectorStore.from_texts(
        exact.TEXTS, WordEmbeddings(), metadatas=METADATA, ids=IDS, location=":memory:", collection_name=NAME
    )
    for diversity in [0.1, 0.5, 0.9]:
        arguments = {"k": 4, "fetch_k": 10, "lambda_mult": diversity}
        ours = state["store"].max_marginal_relevance_search("the city in the morning", **arguments)
        theirs = local.max_marginal_relevance_search("the city in the morning", **arguments)
        assert [d.page_content for d in ours] == [d.page_content for d in theirs], (ours, theirs)


@flow.step
def an_existing_collection_is_opened(state):
    store = QdrantVectorStore.from_existing_collection(
        collection_name=NAME, embedding=WordEmbeddings(), url=URL, api_key=TOKEN
    )
    assert [d.page_content for d in store.get_by_ids(IDS[:2])] == exact.TEXTS[:2]
    retriever = store.as_retriever(search_kwargs={"k": 1})
    assert retriever.invoke(exact.TEXTS[3])[0].page_content == exact.TEXTS[3]


class WordCounts(SparseEmbeddings):
    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        indices, values = exact.sparse_embedding(text)
        return SparseVector(indices=indices, values=values)


def both_kinds(mode, **where):
    return QdrantVectorStore.from_texts(
        exact.TEXTS,
        WordEmbeddings(),
        metadatas=METADATA,
        ids=IDS,
        collection_name=f"{NAME}-{mode.value}",
        retrieval_mode=mode,
        sparse_embedding=WordCounts(),
        **where,
    )


@flow.step
def words_alone_are_searched(state):
    store = both_kinds(RetrievalMode.SPARSE, url=URL, api_key=TOKEN)
    found = store.similarity_search_with_score("the late train to the city", k=4)
    dots = {text: exact.common_words("the late train to the city", text) for text in exact.TEXTS}
    best = sorted(dots.values(), reverse=True)[:4]
    assert [score for _, score in found] == best, (found, best)
    assert [dots[document.page_content] for document, _ in found] == best, (found, best)
    odd = store.similarity_search_with_score("the late train to the city", k=20, filter=ODD)
    wanted = [text for text in exact.TEXTS[1::2] if dots[text] > 0]
    assert {document.page_content for document, _ in odd} == set(wanted), odd


@flow.step
def words_and_meaning_are_fused_as_in_local_mode(state):
    store = both_kinds(RetrievalMode.HYBRID, url=URL, api_key=TOKEN)
    local = both_kinds(RetrievalMode.HYBRID, location=":memory:")
    # A text itself is the first of both lists; behind it many have as many words in common, in any order.
    for query in exact.TEXTS:
        ours = texts_and_scores(store.similarity_search_with_score(query, k=1))
        assert ours[0][0] == query, ours
        exact.assert_same(ours, texts_and_scores(local.similarity_search_with_score(query, k=1)))


@flow.step
def deleted_documents_are_gone(state):
    assert state["store"].delete(IDS[:3])
    assert state["store"].client.count(NAME).count == len(exact.TEXTS) - 3
    kept = np.arange(len(exact.TEXTS)) >= 3
    found = state["store"].similarity_search_with_score("the cat", k=20)
    exact.assert_same(texts_and_scores(found), expected("the cat", 20, kept))


@flow.step
def a_collection_can_be_made_anew(state):
    store = QdrantVectorStore.from_texts(
        exact.TEXTS[:2],
        WordEmbeddings(),
        ids=IDS[:2],
        url=URL,
        api_key=TOKEN,
        collection_name=NAME,
        force_recreate=True,
        vector_name="content",
    )
    assert store.client.count(NAME).count == 2
    assert store.similarity_search("dog", k=1)[0].page_content == exact.TEXTS[1]


if __name__ == "__main__":
    flow.run({})
