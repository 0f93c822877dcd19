"""Retrieval figures the slow, obvious way: one query, one list, one loop."""


def ranking(query, gallery, own):
    """Rows of `gallery` that a query may find, best first; each thing is (vector, class, group)."""
    vector, _, group = query
    allowed = [row for row, other in enumerate(gallery) if row != own and (group == -1 or other[2] != group)]
    return sorted(allowed, key=lambda row: (-sum(a * b for a, b in zip(vector, gallery[row][0], strict=True)), row))


def right(query, gallery, own):
    return [gallery[row][1] == query[1] for row in ranking(query, gallery, own)]


def recall_at(k, right):
    return float(any(right[:k]))


def precision_at(k, right):
    return sum(right[:k]) / k


def map_at_r(right):
    r = sum(right)
    total = 0.0
    for rank in range(1, r + 1):
        if right[rank - 1]:
            total += sum(right[:rank]) / rank
    return total / r
